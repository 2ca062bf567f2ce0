"""The dialects' requests: recorded bodies, fields that are wrong, and which reply /rerank gives."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tmkd.serve.dialects import Rerank, Score, TeiPredict, TeiRerank, asks_for_array, parse, read_json
from tmkd.serve.refusal import Refusal

# Bodies as these clients send them to /rerank.
LLAMA_INDEX = {"query": "q", "raw_scores": False, "return_text": False, "texts": ["a", "b"], "truncate": True}
HAYSTACK = {"query": "q", "texts": ["a", "b"], "raw_scores": False}
RERANKERS = {"model": "m", "query": "q", "texts": ["a", "b"], "top_n": 2, "return_text": True}
DIFY = {"model": "m", "query": "q", "texts": ["a", "b"], "top_n": 2}


@pytest.mark.parametrize("body", [LLAMA_INDEX, HAYSTACK, RERANKERS, {"query": "q", "texts": ["a"]}])
def test_tei_s_clients_get_an_array(body: dict[str, Any]) -> None:
    assert asks_for_array(body)
    assert parse(TeiRerank, body).texts


@pytest.mark.parametrize("body", [DIFY, DIFY | {"documents": ["a"]}, {"query": "q", "documents": ["a"]}])
def test_dify_and_the_clients_with_documents_get_an_object(body: dict[str, Any]) -> None:
    assert not asks_for_array(body)
    assert parse(Rerank, body).passages


def test_fields_that_nobody_listed_are_accepted() -> None:
    assert parse(TeiRerank, HAYSTACK | {"priority": 3, "model": None}).query == "q"


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (TeiRerank, {"query": "q"}, "texts: Field required"),
        (TeiRerank, {"query": "q", "texts": ["a", 3]}, "texts.1: Input should be a valid string"),
        (TeiRerank, {"query": ["q"], "texts": ["a"]}, "query: Input should be a valid string"),
        (TeiRerank, {"query": "q", "texts": ["a"], "truncation_direction": "left"}, "truncation_direction"),
        (Rerank, {"query": "q", "documents": ["a"], "top_n": 0}, "top_n: Input should be greater than or equal to 1"),
        (Rerank, {"query": "q", "documents": [{"body": "a"}]}, "documents.0: has no text"),
        (Rerank, {"query": "q"}, "documents: Field required"),
        (TeiPredict, {"inputs": "one text"}, "inputs"),
        (Score, {"queries": ["a", "b"], "documents": ["a"]}, "2 queries do not go with 1 documents"),
        (Score, {"queries": "a"}, "queries and documents: Field required"),
    ],
)
def test_what_is_wrong_is_named(kind: Any, body: dict[str, Any], said: str) -> None:
    def read() -> None:
        request = parse(kind, body)
        _ = getattr(request, "passages", None), getattr(request, "pairs", None)

    with pytest.raises(Refusal, match="^" + re.escape(said)) as caught:
        read()
    assert caught.value.status == 422


def test_documents_are_texts_or_objects_of_the_fields_asked_for() -> None:
    documents = ["a", {"text": "b", "title": "t"}]
    assert parse(Rerank, {"query": "q", "documents": documents}).passages == ["a", "b"]
    ranked = parse(Rerank, {"query": "q", "documents": documents, "rank_fields": ["title", "text"]})
    assert ranked.passages == ["a", "t\nb"]


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        ({"queries": "a", "documents": "b"}, (["a"], ["b"])),
        ({"queries": "a", "documents": ["b", "c"]}, (["a", "a"], ["b", "c"])),
        ({"text_1": ["a", "b"], "text_2": ["c", "d"]}, (["a", "b"], ["c", "d"])),
    ],
)
def test_a_score_is_asked_of_one_and_one_or_many_or_as_many(body: dict[str, Any], pairs: object) -> None:
    assert parse(Score, body).pairs == pairs


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"query": NaN}', "not JSON"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "deeper than the limit of 200"),
        (b'{"query": "\xff"}', "not JSON"),
    ],
)
def test_a_body_is_one_json_object(body: bytes, said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        read_json(body)
    assert caught.value.status == 422
