"""Results over seeds and splits → the lines of a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tmkd.evaluate.results import (
    Result,
    Stat,
    best_student,
    best_teacher,
    lines,
    ranked_split,
    split_lines,
)

TEACHER = Result(
    "T1", "teacher", "webqa", "test", 0.80, 0.85, None, None, None, 333_580_000, 1_340_000_000, 16, 1, 60, dev=0.9
)
STUDENT = replace(
    TEACHER, row="TMKD", kind="student", accuracy=0.79, parameters=45_700_000, bytes=183_000_000, pairs_per_second=217
)


def test_several_seeds_are_a_mean_and_a_sample_deviation() -> None:
    (line,) = lines([replace(STUDENT, accuracy=value, seed=seed) for seed, value in enumerate((0.78, 0.80, 0.82))])
    assert (line.accuracy.mean, line.accuracy.deviation) == pytest.approx((0.80, 0.02))
    assert line.seeds == 3
    assert line.accuracy.show("{:.2f}".format) == "0.80 ± 0.02"


def test_one_seed_has_no_deviation() -> None:
    assert lines([STUDENT])[0].accuracy == Stat(0.79)


def test_accuracy_is_of_the_first_split_and_ranking_of_the_last_that_can_be_ranked() -> None:
    middle = replace(STUDENT, split="demo", accuracy=0.5, auc=0.5, mrr=0.6, questions=9)
    last = replace(
        STUDENT, split="dl20", accuracy=0.6, auc=0.6, mrr=0.7, map=0.4, ndcg_10=0.5, questions=54, left_out=1
    )
    unranked = replace(STUDENT, split="more", accuracy=0.1, auc=0.1)
    (line,) = lines([STUDENT, middle, last, unranked])
    assert (line.split, line.accuracy, line.auc) == ("test", Stat(0.79), Stat(0.85))
    assert (line.ranked_split, line.mrr, line.map, line.ndcg_10) == ("dl20", Stat(0.7), Stat(0.4), Stat(0.5))
    assert (line.questions, line.left_out) == (54, 1)


def test_a_task_without_ranking_has_no_ranking_measures() -> None:
    (line,) = lines([STUDENT])
    assert (line.ranked_split, line.mrr, line.map, line.ndcg_10) == (None, None, None, None)


def test_a_row_without_the_first_split_is_only_among_every_split() -> None:
    other = replace(STUDENT, row="1-o-1", split="dl20")
    assert [line.row for line in lines([STUDENT, other])] == ["TMKD"]
    assert [(line.row, line.split) for line in split_lines([STUDENT, other])] == [("TMKD", "test"), ("1-o-1", "dl20")]


def test_speed_up_is_over_the_best_teacher_by_dev() -> None:
    slow = replace(TEACHER, row="T2", accuracy=0.7, dev=0.91, pairs_per_second=10)
    ensemble = replace(TEACHER, row="teachers", kind="ensemble", dev=0.99, pairs_per_second=5)
    found = lines([TEACHER, slow, ensemble, STUDENT])
    best = best_teacher(found)
    assert best is not None
    assert best.row == "T2"
    assert [line.speed_up for line in found] == pytest.approx([1.6, 1.0, 0.5, 21.7])


def test_without_teacher_or_speed_there_is_no_speed_up() -> None:
    assert lines([STUDENT])[0].speed_up is None
    assert [line.speed_up for line in lines([TEACHER, replace(STUDENT, pairs_per_second=None)])] == [1.0, None]


def test_the_best_student_by_dev_of_each_task_is_marked_and_no_teacher_is() -> None:
    worse = replace(STUDENT, row="BERT-3", accuracy=0.99, dev=0.89)
    other = replace(STUDENT, row="BERT-3", task="rte", accuracy=0.6)
    found = lines([TEACHER, worse, STUDENT, other])
    assert [(line.task, line.row) for line in found if line.best] == [("webqa", "TMKD"), ("rte", "BERT-3")]


def test_without_a_dev_accuracy_no_row_is_best() -> None:
    found = lines([replace(TEACHER, dev=None), replace(STUDENT, dev=None)])
    assert (best_teacher(found), best_student(found)) == (None, None)
    assert [(line.best, line.speed_up) for line in found] == [(False, None), (False, None)]


def test_the_best_row_has_the_highest_mean_over_its_seeds() -> None:
    lucky = [replace(STUDENT, row="MKD", dev=dev, seed=seed) for seed, dev in ((1, 0.99), (2, 0.7))]
    best = best_student(lines([*lucky, *(replace(STUDENT, seed=seed) for seed in (1, 2))]))
    assert best is not None
    assert best.row == "TMKD"


def test_calibration_is_of_the_first_split_and_graded_ndcg_of_the_ranked_one() -> None:
    first = replace(STUDENT, ece=0.1, ndcg_10_graded=0.9)
    last = replace(STUDENT, split="dl20", ece=0.3, mrr=0.5, ndcg_10_graded=0.6)
    (line,) = lines([first, last])
    assert (line.ece, line.ndcg_10_graded, line.dev) == (Stat(0.1), Stat(0.6), Stat(0.9))
    assert (ranked_split([first, last]), ranked_split([first])) == ("dl20", None)


def test_rows_stay_in_the_order_met() -> None:
    rows = ["b", "a", "c"]
    assert [line.row for line in lines([replace(STUDENT, row=row) for row in rows])] == rows


def test_no_results_have_no_lines() -> None:
    assert lines([]) == split_lines([]) == []


def test_two_seeds_have_a_deviation() -> None:
    (line,) = lines([replace(STUDENT, accuracy=value, seed=seed) for seed, value in enumerate((0.78, 0.80))])
    assert (line.accuracy.mean, line.accuracy.deviation) == pytest.approx((0.79, 0.02 / 2**0.5))


def test_questions_are_those_of_the_ranked_split_and_the_most_of_any_seed() -> None:
    first = replace(STUDENT, questions=9, left_out=7)
    last = [
        replace(STUDENT, split="dl20", seed=seed, mrr=0.5, questions=4 + seed, left_out=2 - seed) for seed in (0, 1)
    ]
    absent = replace(STUDENT, row="BERT-3", questions=9, left_out=7)
    one, other = lines([first, replace(first, seed=0), *last, absent])
    assert (one.ranked_split, one.seeds, one.questions, one.left_out) == ("dl20", 2, 5, 2)
    assert (other.ranked_split, other.questions, other.left_out) == (None, 0, 0)


def test_the_last_split_is_last_in_the_order_met_and_the_first_without_ranking() -> None:
    splits = [replace(STUDENT, split=split, mrr=mrr) for split, mrr in (("test", 0.1), ("z", 0.2), ("a", 0.3))]
    assert lines(splits)[0].ranked_split == "a"
    unranked = [replace(STUDENT, split=split, left_out=left_out) for split, left_out in (("test", 3), ("z", 4))]
    assert (lines(unranked)[0].questions, lines(unranked)[0].left_out) == (0, 3)


def test_splits_of_one_name_in_two_tasks_are_apart() -> None:
    found = split_lines([STUDENT, replace(STUDENT, task="rte", accuracy=0.5)])
    assert [(line.task, line.split, line.accuracy) for line in found] == [
        ("webqa", "test", Stat(0.79)),
        ("rte", "test", Stat(0.5)),
    ]


def test_teachers_alone_have_no_best_student() -> None:
    (line,) = lines([TEACHER])
    assert (line.best, line.speed_up) == (False, 1.0)
    assert best_student([line]) is None


def test_a_result_without_counts_of_questions_left_none_out() -> None:
    assert (TEACHER.questions, TEACHER.left_out) == (0, 0)
