"""The page's files: types, a strict policy, and no other file."""

from __future__ import annotations

import pytest

from serving import Client
from tmkd.serve.static_files import page_files


def test_every_file_has_a_strict_policy() -> None:
    for reply in page_files().values():
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/page/index.html", "/index.html", "/../page.css", "/%2e%2e/app.py", "/app.py"])
def test_no_other_path_is_a_file(client: Client, path: str) -> None:
    assert client.get(path).status == 404
