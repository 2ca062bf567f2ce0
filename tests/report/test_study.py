"""A study's tasks: which row stands for the paper's, mean accuracies, differences, speeds apart."""

from __future__ import annotations

import pytest

from paper_studies import row, study
from row_fragments import speed
from tmkd.report.paper_tables import BERT_3, DEEPQA, ENSEMBLE, KD, MNLI, TEACHER, TKD, TKD_BASE, TMKD_BASE, TMKD_LARGE
from tmkd.report.row_fragment import MeasuredSpeed
from tmkd.report.study import StudyTask

ONE = study(
    row("t1", 8, kind="teacher"),
    row("t2", 9, kind="teacher", seed=2),
    row("ensemble", 9, kind="ensemble"),
    row("bert-3", 5),
    row("tkd", 6),
    row("tmkd", 8, seed=1),
    row("tmkd", 7, seed=2),
    row("tmkd, bundle", 7, kind="bundle"),
    row("mine", 6),
)


def only(one: object) -> StudyTask:
    (task,) = one.tasks  # type: ignore[attr-defined]
    assert isinstance(task, StudyTask)
    return task


def test_a_task_stands_for_the_papers_data_set() -> None:
    tasks = study(row("tmkd", 8), row("tmkd", 8, task="wikiqa")).tasks
    assert [(task.name, task.of, task.title) for task in tasks] == [
        ("webqa", DEEPQA, "webqa of small"),
        ("wikiqa", None, "wikiqa of small"),
    ]


def test_rows_are_found_by_the_names_of_a_recipe_without_a_large_corpus() -> None:
    task = only(ONE)
    lines = {model: task.line(model) for model in (TEACHER, ENSEMBLE, BERT_3, KD, TKD, TKD_BASE, TMKD_BASE, TMKD_LARGE)}
    found = {model.name: line and line.row for model, line in lines.items()}
    assert found == {
        "BERT-large": "t2",  # the best by dev
        "BERT-large ensemble": "ensemble",
        "BERT-3": "bert-3",
        "BERT-3 (1-o-1)": None,
        "TKD": "tkd",
        "TKD base (1-o-1)": "tkd",
        "TMKD base": "tmkd",
        "TMKD large": None,
    }


def test_with_a_large_corpus_or_rows_of_one_a_row_named_tkd_is_of_it() -> None:
    task = only(study(*(row(name, 6, corpora=("base", "large")) for name in ("tkd", "tmkd"))))
    names = [line and line.row for line in map(task.line, (TKD, TKD_BASE, TMKD_BASE))]
    assert names == ["tkd", None, None]
    base = only(study(*(row(name, 6, corpora=("base", "large")) for name in ("tkd-base", "tmkd-base"))))
    assert [line and line.row for line in map(base.line, (TKD, TKD_BASE, TMKD_LARGE))] == ["tkd-base", "tkd-base", None]
    beside = only(study(row("tkd", 6), row("tmkd-base", 7)))
    assert [line and line.row for line in map(beside.line, (TKD, TKD_BASE, TMKD_BASE))] == ["tkd", None, "tmkd-base"]


def test_a_student_named_as_the_ensemble_is_not_taken_for_it() -> None:
    assert only(study(row("ensemble", 6))).line(ENSEMBLE) is None


def test_accuracy_is_the_mean_of_the_sets_that_the_paper_averages() -> None:
    splits = ("matched", "mismatched")
    task = only(study(row("bert-3", 4, 5, task="mnli", splits=splits), row("tmkd", 8, 7, task="mnli", splits=splits)))
    base, best = task.line(BERT_3), task.line(TMKD_BASE)
    assert (task.of, [test.split for test in task.sets]) == (MNLI, ["matched", "mismatched"])
    assert base is not None
    assert best is not None
    assert [base.accuracy.mean, best.accuracy.mean] == pytest.approx([0.45, 0.75])
    assert task.difference(best, base).value == pytest.approx(0.3)


def test_without_the_second_set_accuracy_is_of_the_first() -> None:
    task = only(study(row("tmkd", 8, task="mnli", splits=("matched",))))
    assert [test.split for test in task.sets] == ["matched"]


def test_a_difference_is_over_the_seeds_that_both_rows_have() -> None:
    task = only(ONE)
    base, best = task.line(BERT_3), task.line(TMKD_BASE)
    assert base is not None
    assert best is not None
    found = task.difference(best, base)
    assert found.value == pytest.approx(0.8 - 0.5)
    assert found.low <= found.value <= found.high
    assert (found.seeds, found.other_seeds) == (1, 1)


def test_what_is_drawn_side_by_side_is_of_the_seeds_that_all_students_have() -> None:
    task = only(ONE)
    found = task.lines_at_common_seeds({"a": TMKD_BASE, "b": BERT_3, "c": TEACHER, "d": TMKD_LARGE})
    assert {key: line.accuracy.mean for key, line in found.items()} == {"a": 0.8, "b": 0.5, "c": 0.9}
    alone = task.lines_at_common_seeds({"a": TMKD_BASE})
    assert alone["a"].accuracy.mean == pytest.approx(0.75)


def test_rows_beyond_the_paper_are_compared_with_tmkd() -> None:
    task = only(ONE)
    assert [line.row for line in task.beyond] == ["tmkd, bundle", "mine"]
    assert task.base is not None
    assert task.base.row == "tmkd"
    assert task.difference(task.beyond[1], task.base).value == pytest.approx(0.6 - 0.8)  # of seed 1
    without = only(study(row("mine", 6), row("other", 7)))
    assert without.base is not None
    assert without.base.row == "other"


def test_speeds_are_apart_by_machine_and_time() -> None:
    here, there = (MeasuredSpeed(machine, speed(value)) for machine, value in (("one", 5.0), ("other", 9.0)))
    later = MeasuredSpeed("one", speed(4.0), "2026-11-02 10:00:00 UTC")
    seeds = (row("tmkd", 8, seed=seed, speed=timed) for seed, timed in ((1, here), (2, there), (3, later)))
    task = only(study(*seeds, row("bert-3", 5)))
    found = {where: {name: one.pairs_per_second for name, one in rows.items()} for where, rows in task.speeds.items()}
    assert found == {
        "one": {"tmkd": 5.0},
        "other": {"tmkd": 9.0},
        "one, 2026-11-02 10:00:00 UTC": {"tmkd": 4.0},
    }
