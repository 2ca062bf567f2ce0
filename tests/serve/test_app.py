"""The application: the table of docs/serve.md, path by path."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from serving import QUESTION, TEXTS, Client, opened
from tmkd.serve.app import routes
from tmkd.serve.limits import Limits
from tmkd.serve.refusal import OBJECT_PATHS
from tmkd.serve.served import Served

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
ASKED = QUESTION.replace(" ", "+")
TEI = {"query": QUESTION, "texts": TEXTS}
DOCUMENTS = {"query": QUESTION, "documents": TEXTS}
BODIES: dict[str, dict[str, Any]] = {
    "/rerank": TEI,
    "/v1/rerank": DOCUMENTS,
    "/v2/rerank": DOCUMENTS,
    "/v1/reranking": {"query": QUESTION, "input": TEXTS},
    "/score": {"queries": QUESTION, "documents": TEXTS},
    "/v1/score": {"queries": QUESTION, "documents": TEXTS},
    "/predict": {"inputs": [[QUESTION, text] for text in TEXTS]},
}

every_path = pytest.mark.parametrize("path", BODIES)


def message(path: str, content: dict[str, Any]) -> str:
    """Text of an error in the shape of the path's dialect."""
    if path in OBJECT_PATHS:
        assert content["message"] == content["detail"] == content["error"]["message"]
        return content["message"]
    assert set(content) == {"error", "error_type"}
    return content["error"]


def test_the_page_names_every_path() -> None:
    table = PAGE.partition("## Requests")[0]
    named = set(re.findall(r"`(?:GET |POST )?(/[\w./]*)", table))
    assert named == {*routes()}


@every_path
def test_a_post_is_answered(client: Client, path: str) -> None:
    reply = client.post(path, BODIES[path])
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")


@every_path
def test_an_empty_request_is_a_400(client: Client, path: str) -> None:
    empty = {name: [] if isinstance(value, list) else value for name, value in BODIES[path].items()}
    reply = client.post(path, empty)
    assert reply.status == 400
    assert "no texts" in message(path, reply.json)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v1/reranking"])
def test_a_blank_query_is_a_400(client: Client, path: str) -> None:
    reply = client.post(path, BODIES[path] | {"query": " "})
    assert reply.status == 400
    assert "blank" in message(path, reply.json)


@every_path
def test_more_documents_than_the_limit_are_a_413(made: tuple[Path, Path], path: str) -> None:
    served = opened(made[1], limits=Limits(documents=len(TEXTS) - 1))
    reply = Client(served).post(path, BODIES[path])
    assert reply.status == 413
    assert f"limit of {len(TEXTS) - 1}" in message(path, reply.json)
    served.close()


@every_path
@pytest.mark.parametrize("body", [b"{", b"[]", b"{}"])
def test_what_is_no_request_is_a_422(client: Client, path: str, body: bytes) -> None:
    reply = client.post(path, body)
    assert reply.status == 422
    assert message(path, reply.json)


@every_path
def test_another_method_is_a_405_with_the_right_one(client: Client, path: str) -> None:
    reply = client.get(path)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert message(path, reply.json)


def test_errors_of_documents_on_rerank_have_the_objects_shape(client: Client) -> None:
    assert client.post("/rerank", {"query": QUESTION, "documents": []}).json["error"]["code"] == 400
    assert client.post("/rerank", {"query": QUESTION, "texts": []}).json["error_type"] == "Empty"


def test_a_full_queue_is_a_429_that_says_when_to_come_again(client: Client) -> None:
    client.served.ranker.queue.most_waiting = 0
    for reply in (client.post("/v2/rerank", DOCUMENTS), client.post("/rerank", TEI)):
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) >= 1
        assert int(reply.headers["retry-after-ms"]) >= 1
    assert client.post("/rerank", TEI).json["error_type"] == "Overloaded"


def test_a_failure_of_the_program_is_a_500_without_its_reason(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret place")

    monkeypatch.setattr(client.served.ranker, "encode", fail)
    with pytest.raises(RuntimeError):
        client.post("/rerank", TEI)
    assert "a secret place" in caplog.text


def test_a_client_that_goes_away_is_counted(client: Client) -> None:
    async def left() -> int:
        import json

        headers = {"content-type": "application/json"}
        reply = await client.sent("POST", "/rerank", json.dumps(TEI).encode(), headers, stay=False)
        return reply.status

    assert asyncio.run(left()) in (200, 499)


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_a_server_that_is_not_ready_says_so(client: Client, path: str) -> None:
    assert client.get(path).status == 200
    client.readiness.ready = False
    assert (client.get(path).status, client.get("/health/live").status) == (503, 200)


def test_a_question_is_answered(client: Client) -> None:
    reply = client.get(f"/answer?q={ASKED}&best_sentence=true").json
    assert reply["question"] == QUESTION
    assert len(reply["answers"]) == 5
    assert all(len(one["best_sentence"]) == 2 for one in reply["answers"])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?q=", 400),
        ("?q=+", 400),
        ("?q=" + "a" * 2001, 422),
        (f"?q={ASKED}&best_sentence=perhaps", 422),
        (f"?q={ASKED}&teachers=perhaps", 422),
        (f"?q={ASKED}&deadline_ms=0", 422),
        (f"?q={ASKED}&deadline_ms=nan", 422),
        (f"?q={ASKED}&deadline_ms=soon", 422),
        ("?q=%ff%00%f0%9f%8c%99", 200),
    ],
)
def test_a_question_that_is_none_is_refused(client: Client, query: str, status: int) -> None:
    assert client.get(f"/answer{query}").status == status


def test_without_an_index_there_are_no_answers(made: tuple[Path, Path]) -> None:
    served = opened(made[1])
    reply = Client(served).get(f"/answer?q={ASKED}")
    assert (reply.status, reply.json["error_type"]) == (503, "Unhealthy")
    served.close()


def test_no_page_comes_from_elsewhere(client: Client) -> None:
    assert {client.get(path).status for path in ("/docs", "/redoc")} == {404}


def test_info_names_the_model_and_its_limits(client: Client, served: Served) -> None:
    info = client.get("/info").json
    assert info["model"] == info["model_id"] == served.model
    assert info["max_client_batch_size"] == 1000
    assert info["limits"]["body_bytes"] == 8 << 20
    assert set(info["digests"]) == {"bundle", "index"}
    assert (info["engine"], info["precision"]) == (served.ranker.engine, served.ranker.precision)
    assert info["page"] == {"deadline_ms": None, "side_by_side": False}
