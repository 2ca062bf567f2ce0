from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.serving import PrecisionSpec, ServeSpec
from tmkd.serve.answer_value import MOST_ANSWERS


def test_the_corpus_alone_is_enough() -> None:
    serve = ServeSpec(collect="web")
    assert (serve.questions, serve.top, serve.keep, serve.deadline_ms) == ("head", 10, 5, None)
    assert serve.threshold == PrecisionSpec(precision=0.9)


@pytest.mark.parametrize("word", ["head", "all"])
def test_questions_are_a_word_or_a_file(word: str) -> None:
    assert ServeSpec.model_validate({"collect": "web", "questions": word}).questions == word
    file = SourceSpec(file=word)
    assert ServeSpec.model_validate({"collect": "web", "questions": {"file": word}}).questions == file
    assert ServeSpec.model_validate({"collect": "web", "questions": f"{word}.txt"}).questions == SourceSpec(
        file=f"{word}.txt"
    )


def test_a_threshold_is_a_probability_or_a_precision() -> None:
    assert ServeSpec.model_validate({"collect": "web", "threshold": 0.25}).threshold == 0.25
    assert ServeSpec.model_validate({"collect": "web", "threshold": {}}).threshold == PrecisionSpec()


@pytest.mark.parametrize("wrong", [1.5, {"precision": 0}, {"precision": 1.1}, "high"])
def test_another_threshold_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        ServeSpec.model_validate({"collect": "web", "threshold": wrong})


def test_more_answers_are_not_kept_than_a_value_of_the_store_has_room_for() -> None:
    assert ServeSpec(collect="web", keep=MOST_ANSWERS).keep == MOST_ANSWERS
    with pytest.raises(ValidationError):
        ServeSpec(collect="web", keep=MOST_ANSWERS + 1)
