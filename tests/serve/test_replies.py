"""Replies: order, ties, raw scores, and the fields each client reads."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.serve.dialects import Rerank, Reranking
from tmkd.serve.replies import (
    log_odds,
    order,
    rerank_object,
    reranking_object,
    score_object,
    tei_array,
    tei_predictions,
)
from tmkd.serve.spans import Span

LOGITS = np.log(np.array([[0.2, 0.8], [0.9, 0.1]], dtype=np.float32))


def test_the_best_come_first_and_ties_in_order() -> None:
    assert order([0.5, 0.9, 0.5, 0.9]) == [1, 3, 0, 2]
    assert order([0.5, 0.9, 0.5, 0.9], 2) == [1, 3]
    assert order([0.5], 7) == [0]


def test_log_odds_are_those_of_the_probability() -> None:
    assert log_odds(LOGITS, 1) == pytest.approx([np.log(4), np.log(1 / 9)], abs=1e-6)


def test_tei_s_array_has_texts_where_asked() -> None:
    assert tei_array([0.1, 0.2], None) == [{"index": 1, "score": 0.2}, {"index": 0, "score": 0.1}]
    assert tei_array([0.1, 0.2], ["a", "b"])[0] == {"index": 1, "score": 0.2, "text": "b"}


def test_predictions_are_each_pair_s_classes_the_best_first() -> None:
    (first, second), names = tei_predictions(LOGITS, ("no", "yes"), raw=False), ("no", "yes")
    assert [one["label"] for one in first] == ["yes", "no"]
    assert first[0]["score"] == pytest.approx(0.8)
    assert [one["label"] for one in second] == ["no", "yes"]
    assert tei_predictions(LOGITS, names, raw=True)[1][0]["score"] == pytest.approx(np.log(0.9))


def test_the_object_has_what_every_client_reads() -> None:
    request = Rerank(query="q", documents=["a", "b"])
    reply = rerank_object(request, "m", ["a", "b"], [1, 0], [0.1, 0.2], None, 7)
    assert reply["results"] == [
        {"index": 1, "relevance_score": 0.2, "document": {"text": "b"}},
        {"index": 0, "relevance_score": 0.1, "document": {"text": "a"}},
    ]
    assert reply["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert reply["meta"]["billed_units"] == {"search_units": 1}
    assert (reply["model"], reply["object"]) == ("m", "list")
    assert reply["id"] != rerank_object(request, "m", ["a", "b"], [1], [0.1, 0.2], None, 7)["id"]
    assert "data" not in reply


def test_switches_change_the_object() -> None:
    request = Rerank(query="q", documents=["a"], return_documents=False, top_k=1)
    reply = rerank_object(request, "m", ["a"], [0], [0.1], [[Span(0, 1, 0.5)]], 7)
    assert (
        reply["data"]
        == reply["results"]
        == [{"index": 0, "relevance_score": 0.1, "relevant_spans": [{"start": 0, "end": 1, "score": 0.5}]}]
    )


def test_mixedbread_reads_data_and_score() -> None:
    reply = reranking_object(Reranking(query="q", input=["a", "b"], top_k=1, return_input=True), "m", [0.1, 0.2], 7)
    assert reply["data"] == [{"index": 1, "score": 0.2, "object": "rank_result", "input": "b"}]


def test_vllm_s_scores_keep_the_order_of_the_request() -> None:
    data = score_object("m", [0.1, 0.2], 7)["data"]
    assert data == [{"index": 0, "object": "score", "score": 0.1}, {"index": 1, "object": "score", "score": 0.2}]
