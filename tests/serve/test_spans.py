"""Spans: places in code points, the best sentences of each document, and their limits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from serving import QUESTION, opened
from tmkd.serve.limits import SENTENCES, Limits
from tmkd.serve.served import Served
from tmkd.serve.spans import best_spans, sentence_places

TEXT = "  The moon 🌙 is old.\nThe sun is a star. The lake now  "


def test_places_are_code_points_without_the_space_around() -> None:
    assert [TEXT[start:end] for start, end in sentence_places(TEXT)] == [
        "The moon 🌙 is old.",
        "The sun is a star.",
        "The lake now",
    ]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_a_blank_text_has_no_sentences(text: str) -> None:
    assert sentence_places(text) == []


def test_only_the_first_sentences_of_a_document_count() -> None:
    assert len(sentence_places("The moon is old. " * 50)) == SENTENCES


def test_the_best_sentence_is_that_with_the_highest_score(served: Served) -> None:
    texts = [TEXT[start:end] for start, end in sentence_places(TEXT)]
    scores = served.ranker.predict([(QUESTION, text) for text in texts]).tolist()
    ((span,), nothing), tokens = asyncio.run(best_spans(served.scorer, QUESTION, [TEXT, " "]))
    assert TEXT[span.start : span.end] == texts[scores.index(max(scores))]
    assert span.score == pytest.approx(max(scores), abs=1e-6)
    assert nothing == []
    assert tokens > 0


def test_spans_below_the_threshold_are_left_out(served: Served) -> None:
    (none,), _ = asyncio.run(best_spans(served.scorer, QUESTION, [TEXT], most=9, threshold=1.0))
    (every,), _ = asyncio.run(best_spans(served.scorer, QUESTION, [TEXT], most=9))
    assert none == []
    assert len(every) == 3
    assert [one.score for one in every] == sorted((one.score for one in every), reverse=True)


def test_sentences_beyond_the_limit_of_a_request_are_not_scored(made: tuple[Path, Path]) -> None:
    few = opened(made[1], limits=Limits(documents=4))
    found, _ = asyncio.run(best_spans(few.scorer, QUESTION, [TEXT, TEXT, TEXT], most=9))
    assert [len(one) for one in found] == [3, 1, 0]
    few.close()
