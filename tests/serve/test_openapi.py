"""The OpenAPI description: every path of the application, and references that lead somewhere."""

from __future__ import annotations

import json
import re

from serving import Client
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
