"""Shares of the best teacher's accuracy, by the paper's own table and where they are undefined."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tmkd.evaluate.results import Result
from tmkd.evaluate.shares import Share, shares, undefined_gap

# Table 4, DeepQA.
TEACHER = Result("t1", "teacher", "deepqa", "test", 0.8147, None, None, None, None, 1, 1, None, 1, None, dev=0.9)
BERT_3 = replace(TEACHER, row="BERT-3", kind="student", accuracy=0.7578)
TMKD = replace(BERT_3, row="TMKD", accuracy=0.8043)


def of(*results: Result, base_rate: float = 0.5) -> list[Share]:
    return shares(results, {"deepqa": base_rate})


def test_the_papers_student_closes_four_fifths_of_the_gap() -> None:
    bert, tmkd = of(TEACHER, BERT_3, TMKD)
    assert tmkd.gap_closed == pytest.approx(4.65 / 5.69)
    assert tmkd.of_teacher == pytest.approx(0.8043 / 0.8147)
    assert tmkd.above_chance == pytest.approx(0.3043 / 0.3147)
    assert (tmkd.row, tmkd.teacher, tmkd.baseline, tmkd.split) == ("TMKD", "t1", "BERT-3", "test")
    assert bert.gap_closed == 0


def test_the_gap_is_taken_at_the_seeds_that_both_rows_have() -> None:
    lucky = replace(BERT_3, seed=2, accuracy=0.70)
    bert, tmkd = of(TEACHER, BERT_3, lucky, TMKD)
    assert tmkd.gap_closed == pytest.approx(4.65 / 5.69)  # of seed 1
    assert tmkd.of_teacher == pytest.approx(0.8043 / 0.8147)
    assert bert.gap_closed == 0
    apart = of(TEACHER, BERT_3, lucky, replace(TMKD, seed=3))
    assert apart[1].gap_closed == pytest.approx((0.8043 - 0.7289) / (0.8147 - 0.7289))  # none in common: all of each


def test_the_gap_is_of_the_teachers_seeds_that_differences_are_of() -> None:
    taught = replace(TMKD, teachers_seed=2, accuracy=0.80)
    _, tmkd = of(TEACHER, BERT_3, TMKD, taught)
    assert tmkd.gap_closed == pytest.approx(4.65 / 5.69)


def test_the_teacher_is_the_best_by_dev() -> None:
    lucky = replace(TEACHER, row="t2", accuracy=0.99, dev=0.5)
    assert {one.teacher for one in of(TEACHER, lucky, BERT_3, TMKD)} == {"t1"}


def test_a_gap_that_is_not_positive_is_undefined_and_said_to_be() -> None:
    found = of(replace(TEACHER, accuracy=0.75), BERT_3, TMKD)
    assert [one.gap_closed for one in found] == [None, None]
    assert undefined_gap(found) == "The gap from BERT-3 to t1 is not positive, so its share is undefined."
    assert undefined_gap(of(TEACHER, BERT_3, TMKD)) == ""


def test_without_the_baseline_there_is_no_gap() -> None:
    (found,) = of(TEACHER, TMKD)
    assert (found.baseline, found.gap_closed) == (None, None)
    assert undefined_gap([found]) == ""


def test_a_teacher_at_chance_leaves_the_share_above_it_undefined() -> None:
    (found,) = of(TEACHER, TMKD, base_rate=0.8147)
    assert found.above_chance is None


def test_bundles_have_shares_and_teachers_none() -> None:
    found = of(TEACHER, replace(TEACHER, row="ensemble", kind="ensemble"), TMKD, replace(TMKD, row="b", kind="bundle"))
    assert [one.row for one in found] == ["TMKD", "b"]


def test_without_a_teacher_there_are_no_shares() -> None:
    assert of(BERT_3, TMKD) == []
