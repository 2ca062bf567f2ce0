"""Limits: what is refused, with which status, and that the limit is named."""

from __future__ import annotations

import pytest

from tmkd.serve.limits import Limits
from tmkd.serve.refusal import Refusal

LIMITS = Limits(documents=3, characters=20, question_characters=8)


@pytest.mark.parametrize(
    ("questions", "passages", "status", "said"),
    [
        (["q"], [], 400, "no texts"),
        ([], ["p"], 400, "no texts"),
        ([" \n"], ["p"], 400, "blank"),
        (["q"], ["p" * 20], 422, "limit of 20"),
    ],
)
def test_a_request_beyond_a_limit_is_refused(questions: list[str], passages: list[str], status: int, said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        LIMITS.check_texts(questions, passages)
    assert caught.value.status == status


def test_more_documents_than_the_limit_are_refused_before_they_are_looked_at() -> None:
    LIMITS.check_lists({"query": "a long one", "texts": ["p"] * 3})
    with pytest.raises(Refusal, match="4 texts are more than the limit of 3") as caught:
        LIMITS.check_lists({"query": "q", "texts": [None] * 4})
    assert caught.value.status == 413


def test_a_request_at_the_limits_passes() -> None:
    LIMITS.check_texts(["q"], ["p" * 17, "", "pp"])
    LIMITS.check_question("q" * 8)


@pytest.mark.parametrize(("question", "status"), [("", 400), ("  ", 400), ("q" * 9, 422)])
def test_a_question_is_neither_blank_nor_long(question: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        LIMITS.check_question(question)
    assert caught.value.status == status
