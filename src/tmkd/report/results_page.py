"""report.html: the results of a run as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tmkd.evaluate.results import Line, Result, best_student, best_teacher, distinct, lines, split_lines
from tmkd.evaluate.shares import Share
from tmkd.report import figures
from tmkd.report.cells import TextTable, caption, difference_table, share_table
from tmkd.report.formatting import factor, percent, share
from tmkd.report.html import write_page
from tmkd.report.report_json import Report


class _Task(NamedTuple):
    """One task's section: `gains` are (figure, words), drawings (caption, SVG); `splits` is empty for one split.

    `tables` are (heading, table); `graded` says whether graded nDCG@10 stands beside the binary one.
    """

    name: str
    gains: list[tuple[str, str]]
    lines: list[Line]
    caption: str
    drawings: list[tuple[str, str]]
    splits: list[Line]
    tables: list[tuple[str, TextTable]]
    calibration: list[tuple[str, str]]
    graded: bool


def write_report_html(path: Path, report: Report) -> None:
    """Write the page. Raises: TmkdError when matplotlib is missing."""
    seeds = ", ".join(map(str, report.seeds))
    write_page(
        path,
        "results.html",
        title=f"{report.name}: results",
        command="tmkd report",
        name=report.name,
        facts=[
            ("Date", report.date),
            ("Machine", report.machine),
            ("Seed" if len(report.seeds) == 1 else "Seeds", seeds),
            *(
                [("Teachers' seeds", ", ".join(map(str, report.teachers_seeds)))]
                if len(report.teachers_seeds) > 1
                else []
            ),
        ],
        tasks=[
            _task(task, number, report)
            for number, task in enumerate(distinct(result.task for result in report.results))
        ],
        report=report,
    )


def _task(name: str, number: int, report: Report) -> _Task:
    results = [result for result in report.results if result.task == name]
    rows = lines(results)
    drawings = [("Accuracy of each row", figures.accuracy_per_row(results))]
    if any(row.pairs_per_second for row in rows):
        drawings.append(("Accuracy against speed", figures.accuracy_against_speed(results)))
    splits = split_lines(results) if len(distinct(result.split for result in results)) > 1 else []
    own = [one for one in report.shares if one.task == name]
    tables = [
        ("Differences of rows", difference_table([one for one in report.comparisons if one.task == name])),
        ("Shares of the best teacher's accuracy", share_table(own)),
    ]
    return _Task(
        name,
        _gains(rows, own),
        rows,
        caption(rows, len(report.teachers_seeds) > 1),
        drawings,
        splits,
        [one for one in tables if one[1].rows],
        list(_calibration(results, f"reliability-{number}")),
        any(result.ndcg_10_graded is not None for result in results),
    )


def _calibration(results: Sequence[Result], name: str) -> Iterator[tuple[str, str]]:
    """Reliability of each row on its task's first split, as (caption, SVG); `name` begins the drawings' ids."""
    first = [result for result in results if result.split == results[0].split and result.reliability]
    for place, row in enumerate(distinct(result.row for result in first)):
        own = [result for result in first if result.row == row]
        error = sum(result.ece or 0.0 for result in own) / len(own)
        yield f"{row}: ECE {share(error)}", figures.reliability_of(own, f"{name}-{place}")


def _gains(rows: Sequence[Line], shares: Sequence[Share]) -> list[tuple[str, str]]:
    """Accuracy of the best student by dev; its accuracy, speed and size relative to the best teacher by dev."""
    student, teacher = best_student(rows), best_teacher(rows)
    if student is None:
        return []
    gains = [(f"{percent(student.accuracy.mean)} %", f"accuracy of {student.row}, the best student by dev")]
    own = next((one for one in shares if one.row == student.row), None)
    if own is not None and own.of_teacher is not None:
        gains.append((f"{percent(own.of_teacher)} %", f"of the accuracy of {own.teacher}, the best teacher by dev"))
    if own is not None and own.gap_closed is not None and own.baseline != student.row:
        gains.append((f"{percent(own.gap_closed)} %", f"of the gap from {own.baseline} to {own.teacher} closed"))
    if teacher is not None:
        if student.speed_up is not None:
            gains.append((factor(student.speed_up), "its speed in pairs per second"))
        if student.bytes:
            gains.append((f"{percent(student.bytes / teacher.bytes)} %", "of its bytes on disk"))
    return gains
