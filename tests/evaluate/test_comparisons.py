"""Comparisons named in advance, the descriptive rest, and what their intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.evaluate.comparisons import (
    Comparison,
    Seeds,
    accuracy_differences,
    by_row,
    compare,
    named_in_advance,
    remarks,
)
from tmkd.evaluate.measures import LabelledSet
from tmkd.evaluate.results import Kind, Result
from tmkd.metrics.resampling import holm

QUESTIONS = 40
LABELS = np.array([1, 0] * QUESTIONS)
GROUPS = tuple(str(number // 2) for number in range(2 * QUESTIONS))
TEST = LabelledSet("toy", "test", ("no", "yes"), 1, LABELS, GROUPS)
GRADED = LabelledSet("toy", "graded", ("no", "yes"), 1, LABELS, GROUPS, 2.0 * LABELS)


def row(right: int, seeds: tuple[int, ...] = (1,)) -> Seeds:
    """A row that is right on the first so many questions and wrong on the others."""
    yes = np.where(np.arange(2 * QUESTIONS) < 2 * right, LABELS, 1 - LABELS) * 0.8 + 0.1
    both = np.stack([1 - yes, yes], axis=1)
    return {(1, seed): {"test": both, "graded": both} for seed in seeds}


ROWS = {"t1": row(30), "BERT-3": row(10), "1-o-1": row(20), "TMKD": row(30), "mine": row(25)}
STUDENTS = ("BERT-3", "1-o-1", "TMKD", "mine")


def test_rows_are_found_by_the_papers_names_in_any_case() -> None:
    assert named_in_advance(["tkd", "mkd", "1-o-1", "bert-3", "tmkd", "mine"], "t2") == [
        ("tmkd", "bert-3"), ("tmkd", "1-o-1"), ("tmkd", "mkd"), ("tmkd", "tkd"), ("tkd", "1-o-1"), ("tmkd", "t2"),
    ]  # fmt: skip
    assert named_in_advance(STUDENTS, None) == [("TMKD", "BERT-3"), ("TMKD", "1-o-1")]
    assert named_in_advance(["mine"], "tkd") == []


def test_rows_of_the_smaller_of_two_corpora_stand_in_where_there_are_none_of_one() -> None:
    assert named_in_advance(["tkd-base", "bert-3", "TMKD-base"], None) == [
        ("TMKD-base", "bert-3"),
        ("TMKD-base", "tkd-base"),
    ]
    assert named_in_advance(["tmkd", "bert-3", "tmkd-base"], None) == [("tmkd", "bert-3")]


def test_rows_are_compared_at_the_seeds_that_both_have() -> None:
    several = {**row(30, (1,)), **row(20, (2, 3))}
    rows = {"tmkd": several, "alpha-01": row(30, (1,)), "t1": {(1, 0): row(25)[1, 1]}}
    alike, with_teacher = accuracy_differences(rows, [("tmkd", "alpha-01"), ("tmkd", "t1")], [TEST])
    assert (alike.value, alike.seeds, alike.other_seeds) == (0, 1, 1)  # whole it would be −1/6
    assert with_teacher.value == pytest.approx((30 + 20 + 20) / 3 / 40 - 25 / 40)
    assert (with_teacher.seeds, with_teacher.other_seeds) == (3, 1)


def test_the_primary_comparisons_are_corrected_together_and_no_others() -> None:
    found = compare(ROWS, STUDENTS, "t1", TEST, None)
    primary = [one for one in found if one.adjusted is not None]
    assert [(one.measure, one.row, one.other) for one in primary] == [
        ("accuracy", "TMKD", "BERT-3"),
        ("accuracy", "TMKD", "1-o-1"),
        ("accuracy", "TMKD", "t1"),
    ]
    assert [one.adjusted for one in primary] == holm([one.p for one in primary])
    assert [one.value for one in primary] == pytest.approx([20 / 40, 10 / 40, 0])
    assert all(one.low <= one.value <= one.high for one in primary)
    assert primary[0].p < 0.001
    assert primary[2].p == 1


def test_every_other_student_is_compared_with_the_best_teacher() -> None:
    found = compare(ROWS, STUDENTS, "t1", TEST, None)
    others = [(one.row, one.other) for one in found if one.measure == "accuracy" and one.adjusted is None]
    assert others == [("BERT-3", "t1"), ("1-o-1", "t1"), ("mine", "t1")]


def test_other_measures_are_of_the_primary_rows_and_descriptive() -> None:
    found = compare(ROWS, STUDENTS, "t1", TEST, GRADED)
    rest = [(one.measure, one.split) for one in found if one.measure != "accuracy" and one.other == "BERT-3"]
    assert rest == [("auc", "test"), ("mrr", "graded"), ("ndcg_10", "graded"), ("ndcg_10_graded", "graded")]
    assert all(one.adjusted is None for one in found if one.measure != "accuracy")
    assert {one.measure for one in compare(ROWS, STUDENTS, "t1", TEST, TEST)} == {"accuracy", "auc", "mrr", "ndcg_10"}


def test_differences_of_accuracy_are_the_mean_over_the_sets_and_descriptive() -> None:
    half = LabelledSet("toy", "graded", ("no", "yes"), 1, 1 - LABELS, GROUPS)  # a row right on test is wrong on it
    (found,) = accuracy_differences(ROWS, [("TMKD", "BERT-3")], [TEST])
    assert found.value == pytest.approx(20 / 40)
    assert (found.split, found.adjusted) == ("test", None)
    (both,) = accuracy_differences(ROWS, [("TMKD", "BERT-3")], [TEST, half])
    assert both.value == pytest.approx(0)
    assert both.split == "test, graded"
    assert accuracy_differences(ROWS, [], [TEST]) == []


def test_a_teachers_own_seed_is_no_seed_of_its_row() -> None:
    rows: list[tuple[str, Kind, int, int]] = [
        ("t1", "teacher", 7, 1),
        ("t1", "teacher", 7, 2),
        ("tmkd", "student", 3, 2),
    ]
    results = [
        Result(name, kind, "toy", "test", 0.5, None, None, None, None, 1, 1, None, seed, None, teachers_seed=teachers)
        for name, kind, seed, teachers in rows
    ]
    found = by_row((result, ROWS["t1"][1, 1]) for result in results)
    assert {name: list(seeds) for name, seeds in found.items()} == {"t1": [(1, 0), (2, 0)], "tmkd": [(2, 3)]}


def test_one_class_has_no_auc() -> None:
    alike = LabelledSet("toy", "test", ("no", "yes"), 1, np.ones(2 * QUESTIONS, np.int64), GROUPS)
    assert {one.measure for one in compare(ROWS, STUDENTS, "t1", alike, None)} == {"accuracy"}


def test_rows_without_a_partner_are_not_compared() -> None:
    assert compare({"mine": row(20)}, ("mine",), None, TEST, TEST) == []


def test_remarks_say_which_rows_have_one_seed() -> None:
    def of(*seeds: tuple[str, int, str, int]) -> list[str]:
        return list(
            remarks([Comparison("toy", "test", "accuracy", a, b, 0, 0, 0, 1, m, n, 1.0) for a, m, b, n in seeds])
        )

    several = of(("tmkd", 3, "mkd", 3))
    assert len(several) == 1
    assert "10,000 draws" in several[0]
    assert "named in advance (1)" in several[0]
    assert of(("tmkd", 1, "t1", 1))[1] == "Every row has one seed: the intervals hold no training noise."
    assert of(("tmkd", 3, "mkd", 3), ("tmkd", 3, "t1", 1))[1].startswith("t1: one seed")
    assert of() == []


def test_seeds_are_counted_of_both_rows() -> None:
    (found, *_) = compare({"tmkd": row(30, (1, 2)), "t1": {(1, 0): row(30)[1, 1]}}, ("tmkd",), "t1", TEST, None)
    assert (found.seeds, found.other_seeds) == (2, 1)
