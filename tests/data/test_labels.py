"""LabelSet: the classes of a task."""

from __future__ import annotations

import json

import pytest

from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError

LABELS = LabelSet("demo", ("no", "yes"), "yes")


def test_positive_index_is_the_place_among_the_names() -> None:
    assert LabelSet("rte", ("entailment", "not_entailment"), "entailment").positive_index == 0
    assert LABELS.positive_index == 1


def test_label_set_survives_json() -> None:
    assert LabelSet.from_json(json.loads(json.dumps(LABELS.to_json()))) == LABELS


@pytest.mark.parametrize(("names", "positive"), [(("no", "yes"), "maybe"), (("yes", "yes"), "yes")])
def test_label_set_refuses_a_strange_positive_and_a_repeated_name(names: tuple[str, ...], positive: str) -> None:
    with pytest.raises(TmkdError, match="each named once"):
        LabelSet("demo", names, positive)


MARKS = ("", " - ", "NaN", "nan", "NULL", "None", "NA", "n/a", "<NA>", "#N/A", "\\N", "-1", "-1.0", "-NaN", "NaT")


@pytest.mark.parametrize("word", MARKS)
def test_marks_for_no_label_give_none(word: str) -> None:
    assert LABELS.read(word) is None
    assert LabelSet("t", ("x", word.strip()), "x").read(word) == 1


@pytest.mark.parametrize("word", ["1", " 1.0 ", "yes", "+1", "1."])
def test_a_class_is_its_name_or_its_index(word: str) -> None:
    assert LABELS.read(word) == 1


@pytest.mark.parametrize("word", ["Yes", "2", "-2", "1.5", "1e0", "nanny", "--", "9" * 400])
def test_another_word_is_no_label(word: str) -> None:
    with pytest.raises(ValueError, match=word.replace(".", r"\.")):
        LABELS.read(word)
