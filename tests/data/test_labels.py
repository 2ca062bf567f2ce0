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
