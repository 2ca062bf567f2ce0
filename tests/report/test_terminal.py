"""The terminal's table: its columns, its sections, names shown as they are."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from tmkd.evaluate.comparisons import Comparison
from tmkd.evaluate.results import Result
from tmkd.evaluate.shares import Share
from tmkd.report.report_json import Report
from tmkd.report.terminal import table, tables

TEACHER = Result(
    "T1", "teacher", "webqa", "test", 0.80, 0.85, None, None, None, 333_580_000, 1_340_000_000, 16, 1, 60,
    dev=0.9, ece=0.056,
)  # fmt: skip
STUDENT = replace(
    TEACHER, row="TMKD", kind="student", accuracy=0.79, parameters=45_700_000, bytes=183_000_000, pairs_per_second=217
)


SIZES = ("parameters", "bytes", "pairs/s", "speed-up")


def shown(results: list[Result]) -> str:
    screen = io.StringIO()
    Console(file=screen, width=120).print(table(results))
    return screen.getvalue()


def test_a_row_has_measures_sizes_and_speed() -> None:
    head, teacher, student = shown([TEACHER, STUDENT]).splitlines()
    assert head.split() == ["row", "accuracy", "AUC", "MRR", "nDCG@10", "ECE", *SIZES]
    assert teacher.split() == ["T1", "80.0", "0.850", "-", "-", "0.056", "333.58", "M", "1340.0", "MB", "16", "1.0×"]
    assert student.split() == ["TMKD", "79.0", "0.850", "-", "-", "0.056", "45.70", "M", "183.0", "MB", "217", "13.6×"]


def test_several_tasks_are_sections_and_names_are_no_markup() -> None:
    text = shown([replace(STUDENT, row="[red]x[/red]"), replace(STUDENT, task="rte")])
    assert "[red]x[/red]" in text
    assert [line.strip() for line in text.splitlines() if line.strip() in {"webqa", "rte"}] == ["webqa", "rte"]


def test_no_results_are_an_empty_table() -> None:
    assert shown([]).split()[0] == "row"


def test_a_deviation_is_shown_only_over_several_seeds() -> None:
    assert "±" not in shown([STUDENT])
    assert "80.0 ± 1.4" in shown([STUDENT, replace(STUDENT, accuracy=0.81, seed=2)])


def test_binary_and_graded_ndcg_stand_side_by_side() -> None:
    graded = replace(TEACHER, mrr=0.7, ndcg_10=0.5, ndcg_10_graded=0.4)
    assert "0.500 / 0.400" in shown([graded])


def test_captions_differences_and_shares_follow_the_table_task_by_task() -> None:
    other = Comparison("rte", "dev", "accuracy", "MKD", "T9", 0.02, 0.01, 0.03, 0.01, 3, 3)
    report = Report(
        "demo", "2026-11-27", "a machine", (1,), (TEACHER, STUDENT, replace(STUDENT, task="rte", mrr=0.5)),
        comparisons=(Comparison("webqa", "test", "accuracy", "TMKD", "T1", -0.01, -0.02, 0.01, 0.3, 1, 1, 0.6), other),
        shares=(Share("webqa", "test", "TMKD", "T1", None, 0.9875, 0.9667, None),),
    )  # fmt: skip
    screen = io.StringIO()
    for one in tables(report):
        Console(file=screen, width=300).print(one)
    lines = [line.rstrip() for line in screen.getvalue().splitlines()]
    first, second = (
        lines.index(next(line for line in lines if line.startswith("webqa: Accuracy"))),
        next(place for place, line in enumerate(lines) if line.startswith("rte: Accuracy")),
    )
    ours, theirs = lines[first:second], lines[second:]
    assert any(line.split()[:4] == ["TMKD", "−", "T1", "accuracy,"] and "[-2.0, +1.0]" in line for line in ours)
    assert any(line.split() == ["TMKD", "T1", "98.8", "96.7", "-"] for line in ours)
    assert any("no training noise" in line for line in ours)
    assert any(line.startswith("MKD − T9") for line in theirs)
    assert "judged passages only, not comparable with official runs" in theirs[0]
    assert "judged" not in ours[0]
