"""The OpenAPI description: every path of the application, and references that lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from serving import Client, server
from tmkd.serve.gate import OPEN_PATHS
from tmkd.serve.limits import Limits
from tmkd.serve.openapi import describe


def test_it_names_the_paths_of_the_application(client: Client) -> None:
    described = client.get("/openapi.json").json
    routes = {
        (route.path, method.lower())  # type: ignore[attr-defined]
        for route in client.app._app.routes  # type: ignore[attr-defined]
        for method in route.methods  # type: ignore[attr-defined]
        if method != "HEAD"
    }
    static = {(path, "get") for path in (*OPEN_PATHS[:4], "/openapi.json")}
    assert {(path, method) for path, its in described["paths"].items() for method in its} == routes - static


def test_its_references_lead_somewhere() -> None:
    described = describe(Limits())
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))
    assert named <= set(described["components"]["schemas"])
    assert {"TeiRerank", "Rerank", "SpanSettings"} <= named


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_generated_requests_get_the_replies_described(
    absent: Callable[[str], NoReturn], made: tuple[Path, Path], index_folder: Path, tmp_path: Path, seed: int
) -> None:
    if shutil.which("schemathesis") is None:
        absent("schemathesis is not in PATH: pipx install schemathesis==4.32.5")
    # Not that every request by the schema is accepted: a blank query is one, and refused.
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
        "unsupported_method"
    )
    with server(made[1], "--index", index_folder) as process:
        done = subprocess.run(
            [
                "schemathesis", "run", f"http://127.0.0.1:{process.port}/openapi.json", "--checks", checks,
                "--max-examples", "300", "--seed", str(seed),
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
