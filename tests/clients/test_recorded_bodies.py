"""Requests as Dify and Open WebUI send them, and the replies read as they read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny
from serving import Client, opened
from tmkd.bundle import Ranker

QUESTION = tiny.question(3)
DOCUMENTS = [tiny.passage(topic, good) for topic in (3, 4) for good in (True, False)]
# Dify checks a model that is added to it with these.
CHECK_QUESTION = "What is the capital of the United States?"
CHECK_DOCUMENTS = [
    "Carson City is the capital city of the American state of Nevada. At the 2010 United States Census, Carson City "
    "had a population of 55,274.",
    "The Commonwealth of the Northern Mariana Islands is a group of islands in the Pacific Ocean that are a political "
    "division controlled by the United States. Its capital is Saipan.",
    "Washington, D.C., formally the District of Columbia, is the capital city and federal district of the United "
    "States. It is located on the east bank of the Potomac River.",
]


@pytest.fixture
def client(made: tuple[Path, Path]) -> Iterator[Client]:
    """Client of a server of the bundle alone."""
    served = opened(made[1])
    yield Client(served)
    served.close()


@pytest.fixture
def scores(made: tuple[Path, Path]) -> list[float]:
    """Scores of the documents in the order given."""
    return [float(score) for score in Ranker(made[1]).predict([(QUESTION, text) for text in DOCUMENTS])]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])  # {endpoint}/rerank; endpoints end with or without /v1
@pytest.mark.parametrize("field", ["documents", "texts"])  # as its settings say
@pytest.mark.parametrize("key", ["", "Bearer any"])  # without a key the header is there and empty
def test_dify_reads_scores_from_results(client: Client, scores: list[float], path: str, field: str, key: str) -> None:
    body = {"model": "tmkd", "query": QUESTION, field: DOCUMENTS, "top_n": 3}
    reply = client.post(path, body, {"authorization": key})
    assert reply.status == 200
    read = [(one["index"], one["relevance_score"]) for one in reply.json["results"]]
    best = sorted(enumerate(scores), key=lambda one: -one[1])[:3]
    assert [index for index, _ in read] == [index for index, _ in best]
    assert [score for _, score in read] == pytest.approx([score for _, score in best], abs=1e-6)


def test_dify_s_check_of_a_model_passes(client: Client) -> None:
    body = {"model": "tmkd", "query": CHECK_QUESTION, "documents": CHECK_DOCUMENTS, "top_n": 3}
    reply = client.post("/rerank", body, {"authorization": ""})
    assert reply.status == 200
    assert sorted(one["index"] for one in reply.json["results"]) == [0, 1, 2]
    assert all(0 <= one["relevance_score"] <= 1 for one in reply.json["results"])


def test_open_webui_reads_a_score_for_each_document(client: Client, scores: list[float]) -> None:
    body: dict[str, Any] = {"model": "tmkd", "query": QUESTION, "documents": DOCUMENTS, "top_n": len(DOCUMENTS)}
    who = {"X-OpenWebUI-User-Name": "Ada", "X-OpenWebUI-User-Id": "1", "X-OpenWebUI-User-Role": "admin"}
    reply = client.post("/v1/rerank", body, {"authorization": "Bearer any", **who})
    assert reply.status == 200
    read = [one["relevance_score"] for one in sorted(reply.json["results"], key=lambda one: one["index"])]
    assert read == pytest.approx(scores, abs=1e-6)
