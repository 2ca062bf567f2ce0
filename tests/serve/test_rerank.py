"""The rerank API over a bundle: every dialect gives the ranker's scores."""

from __future__ import annotations

import numpy as np
import pytest

from serving import QUESTION, TEXTS, Client

LONG = " ".join(["moon"] * 40)


@pytest.fixture
def scores(client: Client) -> list[float]:
    """Scores of TEXTS by the ranker itself."""
    return client.served.ranker.predict([(QUESTION, text) for text in TEXTS]).tolist()


def best(scores: list[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def test_tei_s_clients_get_a_sorted_array(client: Client, scores: list[float]) -> None:
    reply = client.post("/rerank", {"query": QUESTION, "texts": TEXTS, "return_text": True})
    assert reply.status == 200
    assert [one["index"] for one in reply.json] == best(scores)
    assert [one["score"] for one in reply.json] == pytest.approx([scores[at] for at in best(scores)], abs=1e-6)
    assert [one["text"] for one in reply.json] == [TEXTS[at] for at in best(scores)]


def test_raw_scores_are_log_odds(client: Client, scores: list[float]) -> None:
    reply = client.post("/rerank", {"query": QUESTION, "texts": TEXTS, "raw_scores": True})
    odds = [np.log(scores[at] / (1 - scores[at])) for at in best(scores)]
    assert [one["score"] for one in reply.json] == pytest.approx(odds, abs=1e-4)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("most", ["top_n", "top_k"])
def test_the_object_has_the_best_of_the_documents(client: Client, scores: list[float], path: str, most: str) -> None:
    reply = client.post(path, {"model": "any", "query": QUESTION, "documents": TEXTS, most: 2}).json
    assert [one["index"] for one in reply["results"]] == best(scores)[:2]
    assert reply["results"][0]["document"] == {"text": TEXTS[best(scores)[0]]}
    assert ("data" in reply) == (most == "top_k")
    assert reply["usage"]["total_tokens"] > 0


def test_dify_gets_an_object_and_all_texts(client: Client, scores: list[float]) -> None:
    reply = client.post("/rerank", {"model": "m", "query": QUESTION, "texts": TEXTS, "top_n": 99}).json
    assert [one["index"] for one in reply["results"]] == best(scores)


def test_texts_are_documents_on_v1(client: Client, scores: list[float]) -> None:
    reply = client.post("/v1/rerank", {"query": QUESTION, "texts": TEXTS}).json
    assert [one["index"] for one in reply["results"]] == best(scores)


def test_mixedbread_gets_data(client: Client, scores: list[float]) -> None:
    reply = client.post("/v1/reranking", {"query": QUESTION, "input": TEXTS, "top_k": 1}).json
    assert [one["index"] for one in reply["data"]] == best(scores)[:1]


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
def test_scores_keep_their_order(client: Client, scores: list[float], path: str) -> None:
    reply = client.post(path, {"queries": QUESTION, "documents": TEXTS}).json
    assert [one["score"] for one in reply["data"]] == pytest.approx(scores, abs=1e-6)


def test_predictions_name_the_classes(client: Client, scores: list[float]) -> None:
    pairs = [[QUESTION, text] for text in TEXTS]
    several = client.post("/predict", {"inputs": pairs}).json
    positive = [{one["label"]: one["score"] for one in row}["yes"] for row in several]
    assert positive == pytest.approx(scores, abs=1e-6)
    assert client.post("/predict", {"inputs": pairs[0]}).json == several[0]


def test_long_texts_are_cut_unless_the_dialect_s_switch_says_otherwise(client: Client) -> None:
    assert client.post("/rerank", {"query": QUESTION, "texts": [LONG]}).status == 200
    assert client.post("/rerank", {"query": QUESTION, "texts": [LONG], "truncate": True}).status == 200
    assert client.post("/v1/rerank", {"query": QUESTION, "documents": [LONG]}).status == 200
    tei = client.post("/rerank", {"query": QUESTION, "texts": [LONG], "truncate": False})
    voyage = client.post("/v1/rerank", {"query": QUESTION, "documents": [LONG], "truncation": False})
    assert (tei.status, tei.json["error_type"]) == (422, "Validation")
    assert (voyage.status, "limit of 32" in voyage.json["detail"]) == (422, True)


def test_documents_are_cut_after_so_many_tokens(client: Client) -> None:
    body = {"query": QUESTION, "documents": ["moon sun rain", "moon sun"], "max_tokens_per_doc": 2}
    first, second = client.post("/v2/rerank", body).json["results"]
    assert (first["index"], first["relevance_score"]) == (0, second["relevance_score"])
    assert first["document"] == {"text": "moon sun rain"}


def test_spans_come_only_when_asked(client: Client) -> None:
    documents = [f"{TEXTS[0]} The moon 🌙 is old. {TEXTS[2]}"]
    body = {"query": QUESTION, "documents": documents}
    asked = body | {"relevant_spans": {"mode": "x", "threshold": 0.0, "max_spans": 2}}
    plain, spanned = (client.post("/v2/rerank", one).json for one in (body, asked))
    assert "relevant_spans" not in plain["results"][0]
    spans = spanned["results"][0]["relevant_spans"]
    assert len(spans) == 2
    assert spans[0]["score"] >= spans[1]["score"]
    assert spanned["usage"]["total_tokens"] > plain["usage"]["total_tokens"]
    for span in spans:
        assert documents[0][span["start"] : span["end"]].endswith(".")
