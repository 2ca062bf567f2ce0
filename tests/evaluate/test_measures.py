"""Measures of probabilities on a test set, worked by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import GRADE, pair_table
from tmkd.evaluate.measures import LabelledSet, measure
from tmkd.metrics.calibration import ReliabilityBin

LABELS = LabelSet("toy", ("yes", "no"), "yes")  # the positive class first
TABLE = pair_table(["a", "a", "b", "b"], ["p", "q", "r", "s"], [0, 1, 1, 1], "f", ["a", "a", "b", "b"])
LIKELY = np.array([0.8, 0.3, 0.7, 0.1])  # of yes


def of(table: pa.Table) -> LabelledSet:
    return LabelledSet.of("test", LABELS, table)


def graded(grades: list[float | None]) -> pa.Table:
    return TABLE.append_column(GRADE, pa.array(grades, GRADE.type))


def test_a_test_set_has_labels_groups_and_the_share_of_its_commonest_label() -> None:
    test = of(TABLE)
    assert test.labels.tolist() == [0, 1, 1, 1]
    assert test.positives.tolist() == [True, False, False, False]
    assert (test.task, test.split, test.groups, test.grades) == ("toy", "test", ("a", "a", "b", "b"), None)
    assert test.base_rate == 3 / 4


def test_measures_worked_by_hand() -> None:
    found = measure(np.stack([LIKELY, 1 - LIKELY], axis=1), of(TABLE))
    assert found["accuracy"] == 3 / 4
    assert found["auc"] == 1
    assert (found["mrr"], found["questions"], found["left_out"]) == (1, 1, 1)  # b has no right passage
    assert found["ndcg_10_graded"] is None
    # Confidences .8, .7, .7 and .9: right, right, wrong, right.
    assert found["reliability"] == (
        ReliabilityBin(2, pytest.approx(0.7), 0.5),  # type: ignore[arg-type]
        ReliabilityBin(1, pytest.approx(0.8), 1.0),  # type: ignore[arg-type]
        ReliabilityBin(1, pytest.approx(0.9), 1.0),  # type: ignore[arg-type]
    )
    assert found["ece"] == pytest.approx((2 * 0.2 + 0.2 + 0.1) / 4)


def test_grades_give_a_graded_ndcg_beside_the_binary_one() -> None:
    found = measure(np.stack([1 - LIKELY, LIKELY], axis=1), of(graded([3, 1, 0, 0])))  # q is ranked before p
    assert found["ndcg_10"] == pytest.approx(1 / np.log2(3))
    assert found["ndcg_10_graded"] == pytest.approx((1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3)))


def test_a_set_of_which_some_pairs_have_no_grade_has_none() -> None:
    assert of(graded([3, 1, None, 0])).grades is None
