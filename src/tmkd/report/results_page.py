"""report.html: the results of a run as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tmkd.evaluate.results import Line, best_student, best_teacher, distinct, lines, split_lines
from tmkd.report import figures
from tmkd.report.formatting import factor, percent
from tmkd.report.html import write_page
from tmkd.report.report_json import Report


class _Task(NamedTuple):
    """One task's section: `gains` are (figure, words), `drawings` (caption, SVG); `splits` is empty for one split."""

    name: str
    gains: list[tuple[str, str]]
    lines: list[Line]
    caption: str
    drawings: list[tuple[str, str]]
    splits: list[Line]


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
        tasks=[_task(task, report) for task in distinct(result.task for result in report.results)],
        report=report,
    )


def _task(name: str, report: Report) -> _Task:
    results = [result for result in report.results if result.task == name]
    rows = lines(results)
    drawings = [("Accuracy of each row", figures.accuracy_per_row(results))]
    if any(row.pairs_per_second for row in rows):
        drawings.append(("Accuracy against speed", figures.accuracy_against_speed(results)))
    splits = split_lines(results) if len(distinct(result.split for result in results)) > 1 else []
    return _Task(name, _gains(rows), rows, _caption(rows, len(report.teachers_seeds) > 1), drawings, splits)


def _gains(rows: Sequence[Line]) -> list[tuple[str, str]]:
    """The best student's accuracy, and its accuracy, speed and size relative to the best teacher."""
    student, teacher = best_student(rows), best_teacher(rows)
    if student is None:
        return []
    gains = [(f"{percent(student.accuracy.mean)} %", f"accuracy of {student.row}, the best student")]
    if teacher is not None and teacher.accuracy.mean:
        kept = student.accuracy.mean / teacher.accuracy.mean
        gains.append((f"{percent(kept)} %", f"of the accuracy of {teacher.row}, the best teacher"))
        if student.speed_up is not None:
            gains.append((factor(student.speed_up), "its speed in pairs per second"))
        if student.bytes:
            gains.append((f"{percent(student.bytes / teacher.bytes)} %", "of its bytes on disk"))
    return gains


def _caption(rows: Sequence[Line], teachers: bool) -> str:
    """The splits that the measures are of, and the number of seeds, or of pairs where the teachers have several too."""
    parts = [f"Accuracy and AUC on {rows[0].split}"] if rows else []
    ranked = next((row for row in rows if row.mrr is not None), None)
    if ranked is not None:
        counts = f"{ranked.questions} questions ranked, {ranked.left_out} left out"
        parts.append(f"MRR, MAP and nDCG@10 on {ranked.ranked_split} ({counts})")
    parts.append("speed-up over the best teacher")
    if any(row.seeds > 1 for row in rows):
        over = "pairs of a teachers' and a student's seed" if teachers else "seeds"
        parts.append(f"mean ± standard deviation over {max(row.seeds for row in rows)} {over}")
    return "; ".join(parts) + "."
