"""The terminal's table: its columns, its sections, names shown as they are."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from tmkd.evaluate.results import Result
from tmkd.report.terminal import table

TEACHER = Result("T1", "teacher", "webqa", "test", 0.80, 0.85, None, None, None, 333_580_000, 1_340_000_000, 16, 1, 60)
STUDENT = replace(
    TEACHER, row="TMKD", kind="student", accuracy=0.79, parameters=45_700_000, bytes=183_000_000, pairs_per_second=217
)


def shown(results: list[Result]) -> str:
    screen = io.StringIO()
    Console(file=screen, width=120).print(table(results))
    return screen.getvalue()


def test_a_row_has_measures_sizes_and_speed() -> None:
    head, teacher, student = shown([TEACHER, STUDENT]).splitlines()
    assert head.split() == ["row", "accuracy", "AUC", "MRR", "parameters", "bytes", "pairs/s", "speed-up"]
    assert teacher.split() == ["T1", "80.0", "0.850", "-", "333.58", "M", "1340.0", "MB", "16", "1.0×"]
    assert student.split() == ["TMKD", "79.0", "0.850", "-", "45.70", "M", "183.0", "MB", "217", "13.6×"]


def test_several_tasks_are_sections_and_names_are_no_markup() -> None:
    text = shown([replace(STUDENT, row="[red]x[/red]"), replace(STUDENT, task="rte")])
    assert "[red]x[/red]" in text
    assert [line.strip() for line in text.splitlines() if line.strip() in {"webqa", "rte"}] == ["webqa", "rte"]


def test_no_results_are_an_empty_table() -> None:
    assert shown([]).split()[0] == "row"


def test_a_deviation_is_shown_only_over_several_seeds() -> None:
    assert "±" not in shown([STUDENT])
    assert "80.0 ± 1.4" in shown([STUDENT, replace(STUDENT, accuracy=0.81, seed=2)])
