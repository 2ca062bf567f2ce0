"""Results over seeds and splits → the lines of a table."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tmkd.evaluate.results import Result, Stat, best_teacher, lines, split_lines
from tmkd.report.terminal import count, percent, rate, size, table, times

TEACHER = Result("T1", "teacher", "webqa", "test", 0.80, 0.85, None, None, None, 333_580_000, 1_340_000_000, 16, 1, 60)
STUDENT = replace(
    TEACHER, row="TMKD", kind="student", accuracy=0.79, parameters=45_700_000, bytes=183_000_000, pairs_per_second=217
)


def shown(results: list[Result]) -> str:
    screen = io.StringIO()
    Console(file=screen, width=120).print(table(results))
    return screen.getvalue()


def test_several_seeds_are_a_mean_and_a_sample_deviation() -> None:
    (line,) = lines([replace(STUDENT, accuracy=value, seed=seed) for seed, value in enumerate((0.78, 0.80, 0.82))])
    assert (line.accuracy.mean, line.accuracy.deviation) == pytest.approx((0.80, 0.02))
    assert line.seeds == 3
    assert line.accuracy.show(percent) == "80.0 ± 2.0"


def test_one_seed_has_no_deviation() -> None:
    assert lines([STUDENT])[0].accuracy == Stat(0.79)
    assert "±" not in shown([STUDENT])


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


def test_speed_up_is_over_the_teacher_with_the_best_accuracy() -> None:
    slow = replace(TEACHER, row="T2", accuracy=0.81, pairs_per_second=10)
    ensemble = replace(TEACHER, row="teachers", kind="ensemble", accuracy=0.9, pairs_per_second=5)
    found = lines([TEACHER, slow, ensemble, STUDENT])
    best = best_teacher(found)
    assert best is not None
    assert best.row == "T2"
    assert [line.speed_up for line in found] == pytest.approx([1.6, 1.0, 0.5, 21.7])


def test_without_teacher_or_speed_there_is_no_speed_up() -> None:
    assert lines([STUDENT])[0].speed_up is None
    assert [line.speed_up for line in lines([TEACHER, replace(STUDENT, pairs_per_second=None)])] == [1.0, None]


def test_the_best_student_of_each_task_is_marked_and_no_teacher_is() -> None:
    worse = replace(STUDENT, row="BERT-3", accuracy=0.7)
    other = replace(STUDENT, row="BERT-3", task="rte", accuracy=0.6)
    found = lines([TEACHER, worse, STUDENT, other])
    assert [(line.task, line.row) for line in found if line.best] == [("webqa", "TMKD"), ("rte", "BERT-3")]


def test_rows_stay_in_the_order_met() -> None:
    rows = ["b", "a", "c"]
    assert [line.row for line in lines([replace(STUDENT, row=row) for row in rows])] == rows


def test_the_terminal_table_tells_what_was_gained() -> None:
    head, teacher, student = shown([TEACHER, STUDENT]).splitlines()
    assert head.split() == ["row", "accuracy", "AUC", "MRR", "parameters", "bytes", "pairs/s", "speed-up"]
    assert teacher.split() == [
        "T1",
        "80.0",
        "0.850",
        "-",
        "333.58",
        "M",
        "1340.0",
        "MB",
        "16",
        "1.0×",
    ]
    assert student.split() == [
        "TMKD",
        "79.0",
        "0.850",
        "-",
        "45.70",
        "M",
        "183.0",
        "MB",
        "217",
        "13.6×",
    ]


def test_several_tasks_are_sections_and_names_are_no_markup() -> None:
    text = shown([replace(STUDENT, row="[red]x[/red]"), replace(STUDENT, task="rte")])
    assert "[red]x[/red]" in text
    assert [line.strip() for line in text.splitlines() if line.strip() in {"webqa", "rte"}] == ["webqa", "rte"]


def test_no_results_are_an_empty_table() -> None:
    assert lines([]) == split_lines([]) == []
    assert shown([]).split()[0] == "row"


def test_units() -> None:
    assert (percent(0.80432), count(45_693_698), size(90_868_376)) == ("80.4", "45.69 M", "90.9 MB")
    assert [rate(value) for value in (None, 5.333, 217.4, 1234.5)] == ["-", "5.33", "217", "1,234"]
    assert [times(value) for value in (None, 13.56)] == ["-", "13.6×"]
