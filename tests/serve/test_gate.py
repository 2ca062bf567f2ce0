"""The gate: Host, token, content type, size; what metrics name a route."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serving import QUESTION, TEXTS, Client
from tmkd.serve.gate import OPEN_PATHS, _host, is_loopback, known_hosts
from tmkd.serve.served import Served

BODY = {"query": QUESTION, "texts": TEXTS}


@pytest.mark.parametrize(
    ("header", "name"),
    [(b"localhost:80", "localhost"), (b"[::1]:80", "::1"), (b"EXAMPLE.org", "example.org"), (b"", ""), (b"[x", "x")],
)
def test_the_name_in_a_host_header(header: bytes, name: str) -> None:
    assert _host(header) == name


@pytest.mark.parametrize(
    ("bound", "names", "known"),
    [
        ("127.0.0.1", (), {"localhost", "127.0.0.1", "::1"}),
        ("127.0.0.2", ("Box",), {"localhost", "127.0.0.1", "::1", "127.0.0.2", "box"}),
        ("0.0.0.0", (), None),
        ("0.0.0.0", ("box",), {"0.0.0.0", "box"}),
    ],
)
def test_on_loopback_only_loopback_names_and_those_given_are_known(
    bound: str, names: tuple[str, ...], known: object
) -> None:
    assert known_hosts(bound, names) == known
    assert is_loopback(bound) == bound.startswith("127.")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", ""])
def test_a_page_that_resolves_its_name_to_this_machine_is_refused(client: Client, host: str) -> None:
    reply = client.get("/health", {"host": host})
    assert (reply.status, reply.json["error_type"]) == (421, "Host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080"])
def test_loopback_names_are_served(client: Client, host: str) -> None:
    assert client.get("/health", {"host": host}).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_a_form_of_another_site_is_refused(client: Client, kind: str) -> None:
    assert client.post("/rerank", BODY, {"content-type": kind}).status == 415


def test_a_path_that_takes_no_post_says_so_first(client: Client) -> None:
    assert client.send("POST", "/info", b"{}").status == 405


def test_parameters_of_the_content_type_do_not_matter(client: Client) -> None:
    assert client.post("/rerank", BODY, {"content-type": "Application/JSON; charset=utf-8"}).status == 200


def test_no_other_site_may_read_a_reply(client: Client) -> None:
    reply = client.post("/rerank", BODY, {"origin": "https://evil.example"})
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_pages_of_the_origins_given_may_read_replies_and_refusals(served: Served) -> None:
    client = Client(served, token="secret", origins=["https://shop.example"])
    for headers, status in (({}, 401), ({"authorization": "Bearer secret"}, 200)):
        reply = client.post("/rerank", BODY, {"origin": "https://shop.example", **headers})
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, "https://shop.example")
        reply = client.post("/rerank", BODY, {"origin": "https://evil.example", **headers})
        assert "access-control-allow-origin" not in reply.headers


def test_a_browser_may_ask_first_with_the_token_and_json(served: Served) -> None:
    client = Client(served, token="secret", origins=["https://shop.example"])
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    assert client.send("OPTIONS", "/rerank", headers={"origin": "https://shop.example", **asked}).status == 200
    assert client.send("OPTIONS", "/rerank", headers={"origin": "https://evil.example", **asked}).status == 400


def test_a_body_larger_than_the_limit_is_refused_by_its_length_and_by_its_bytes(served: Served) -> None:
    served.limits = replace(served.limits, body_bytes=64)
    client = Client(served)
    for headers in ({}, {"content-length": "65"}):
        reply = client.post("/v1/rerank", BODY, headers)
        assert reply.status == 413
        assert "limit of 64 bytes" in reply.json["message"]


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic secret", "secret", "Bearer secret x", "Bearer sécret"],
)
def test_without_its_token_a_server_answers_nothing(served: Served, given: str | None) -> None:
    client = Client(served, token="secret")
    headers = {} if given is None else {"authorization": given}
    for reply in (client.get("/info", headers), client.get("/metrics", headers), client.post("/score", BODY, headers)):
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("given", ["Bearer secret", "bearer secret", "Bearer  secret "])
def test_with_its_token_it_answers(served: Served, given: str) -> None:
    assert Client(served, token="secret").get("/info", {"authorization": given}).status == 200


def test_health_and_page_need_no_token(served: Served) -> None:
    client = Client(served, token="secret")
    assert {client.get(path).status for path in OPEN_PATHS} <= {200, 404}


def test_any_token_is_fine_where_none_is_set(client: Client) -> None:
    for given in ("", "Bearer any"):
        assert client.get("/info", {"authorization": given}).status == 200


def test_paths_that_there_are_not_share_one_metric(client: Client) -> None:
    for path in ("/nowhere", "/elsewhere", "/page/../../etc/passwd"):
        assert client.get(path).status == 404
    client.send("BREW", "/info")
    text = client.metrics.text().decode()
    assert "nowhere" not in text
    assert 'http_route="other"' in text
    assert 'http_request_method="_OTHER"' in text
