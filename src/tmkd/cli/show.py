"""Printed results: states of the steps, the report's table, the frontier, a bench's points."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tmkd.cli.output import print_json
from tmkd.flow.evaluate import BUNDLE
from tmkd.flow.export import FRONTIER, FRONTIER_PAGE
from tmkd.flow.measured import measured_rows
from tmkd.flow.plan import seeds_line, states
from tmkd.flow.run_folder import RunFolder
from tmkd.machine import machine_line
from tmkd.progress import clock
from tmkd.store import read_manifest, sealed, verify, versions, write_atomic

if TYPE_CHECKING:
    from tmkd.evaluate.bench import BenchPoint
    from tmkd.evaluate.results import Result
    from tmkd.report.report_json import Report


def show_report(run: RunFolder, as_json: bool) -> None:
    """Print the report's tables (or report.json) on stdout and put the report's files into the run folder.

    Rows that were finished elsewhere are joined with those of the run folder.

    Beside the tables, on stderr: where the best students by dev and the page lie.
    """
    from tmkd.evaluate.results import distinct
    from tmkd.flow.finished import join_finished
    from tmkd.report.files import REPORT_FILES, write_report
    from tmkd.report.report_json import read_report

    if run.only is not None and run.only.finished:
        joined = join_finished(run)
        run.folder.mkdir(parents=True, exist_ok=True)
        write_report(run.folder, joined)
        print_report(joined, as_json)
        print(run.folder / "report.html", file=sys.stderr)
        return
    folder = run.folder / "report"
    run.bring(folder)
    verify(folder)
    for name in REPORT_FILES:
        data = (folder / name).read_bytes()
        copy = run.folder / name
        if not copy.is_file() or copy.read_bytes() != data:
            write_atomic(copy, data)
            if run.remote is not None:
                run.remote.objects.write(name, data)
    if as_json:
        print_json((folder / "report.json").read_text(encoding="utf-8"))
        return
    report = read_report(folder / "report.json")
    results = report.results
    print_tables(report)
    for task in distinct(one.task for one in results):
        print(_best_student(run, task, results), file=sys.stderr)
    for one in {one.row: one for one in results if one.kind == "bundle"}.values():
        engine = sealed(run.predictions_folder(one.task, BUNDLE)).facts["precision"]
        print(f"{one.row}: {run.bundle_folder}, served here by {engine}", file=sys.stderr)
    print(run.folder / "report.html", file=sys.stderr)


def print_report(report: Report, as_json: bool) -> None:
    """Print a report that no run folder has: its tables, or its JSON, on stdout."""
    from tmkd.report.report_json import report_json

    if as_json:
        print_json(report_json(report).decode())
    else:
        print_tables(report)


def print_tables(report: Report) -> None:
    """Print a report's tables on stdout, its rows' warnings on stderr."""
    from tmkd.evaluate.warnings import warning_lines
    from tmkd.report.terminal import tables

    console = Console()
    for shown in tables(report):
        print_whole(shown, console)
    print(file=sys.stderr)
    for line in warning_lines(report.results):
        print(line, file=sys.stderr)


def print_whole(shown: Table | Text, console: Console) -> None:
    """Print a table or a text whole: a narrow terminal wraps its lines, for numbers cut short would be worse."""
    if isinstance(shown, Table):
        whole = console.options.update(max_width=1000)
        console.width = max(console.width, console.measure(shown, options=whole).maximum)
    console.print(shown, soft_wrap=isinstance(shown, Text))


def _best_student(run: RunFolder, task: str, results: Sequence[Result]) -> str:
    """The student of the best row by dev, of its best seed by dev: where it lies, and how to open it."""
    from tmkd.evaluate.results import best_student, lines

    best_row = best_student(lines([one for one in results if one.task == task]))
    if best_row is None:
        return f"no student of {task} among the rows"
    own = [one for one in results if (one.task, one.row) == (task, best_row.row)]
    dev = {(one.teachers_seed, one.seed): one.dev or 0.0 for one in own}
    rows = [row for row in measured_rows(run) if (row.task, row.row) == (task, best_row.row)]
    best = max(rows, key=lambda row: dev[row.teachers_seed, row.seed])
    run.bring(*best.models)
    mean = "the mean of " if len(best.models) > 1 else ""
    return (
        f"best student of {task} by dev ({best.row}): {mean}{', '.join(map(str, best.models))}; "
        f"in Python: tmkd.Student.from_pretrained('{best.models[0]}')"
    )


def show_states(run: RunFolder, console: Console, as_json: bool) -> None:
    """Print each step's state, why it is stale, how long it took, and versions that differ from the installed ones."""
    rows = [(step, now, _made_with(step.folder)) for step, now, _ in states(run)]
    if as_json:
        steps = [
            {
                "step": step.title,
                "state": now.kind,
                "why": now.why,
                "seconds": now.seconds,
                "folder": str(step.folder),
                "versions": made_with,
            }
            for step, now, made_with in rows
        ]
        print(json.dumps(steps, indent=1))
        return
    colour = {"done": "green", "stale": "yellow", "missing": "red"}
    installed = versions()
    others = [
        ", ".join(f"{name} {one}" for name, one in made_with.items() if installed.get(name) != one)
        for _, _, made_with in rows
    ]
    table = Table(Column("step", overflow="fold"), "state", "why", "took")  # a narrow terminal cuts no name short
    if any(others):
        table.add_column("made with")
    for (step, now, _), other in zip(rows, others, strict=True):
        took = clock(now.seconds) if now.seconds else ""
        state = f"[{colour[now.kind]}]{now.kind}[/]"
        table.add_row(step.title, state, now.why, took, *([other] if any(others) else []))
    console.print(table)
    console.print(seeds_line(run), highlight=False)


def _made_with(folder: Path) -> dict[str, str]:
    """Versions that a sealed artifact was made with; empty where there is none, or one of an older tmkd."""
    manifest = read_manifest(folder)
    return {} if manifest is None else manifest.versions


def show_frontier(run: RunFolder, console: Console, as_json: bool) -> None:
    """Print the frontier's table (or frontier.json), what the budget picks, and where the page lies."""
    from tmkd.evaluate.frontier import read_points
    from tmkd.report.frontier_page import COLUMNS, budget_sentence, cells

    folder = run.folder / "frontier"
    run.bring(folder)
    verify(folder)
    if as_json:
        print_json((folder / FRONTIER).read_text(encoding="utf-8"))
        return
    points, budget_ms = read_points(folder / FRONTIER)
    table = Table(*COLUMNS)
    for point in points:
        table.add_row(*cells(point))
    console.print(table)
    for line in (budget_sentence(points, budget_ms), str(folder / FRONTIER_PAGE)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def show_points(points: list[BenchPoint], console: Console, as_json: bool) -> None:
    """Print the points of a bench, with a line on the machine."""
    from tmkd.bundle.kernel_library import kernel_line  # a bundle's modules are loaded for this verb alone

    if as_json:
        described = {"machine": machine_line(), "kernel": kernel_line(), "points": [asdict(point) for point in points]}
        print(json.dumps(described, indent=1))
        return
    cell = "what", "precision", "engine", "width", "batch", "ids", "threads"
    table = Table(*cell, "pairs/s", "p50 ms", "p95 ms", "p99 ms", "spread")
    for one in points:
        latencies = (f"{milliseconds:.1f}" for milliseconds in (one.p50_ms, one.p95_ms, one.p99_ms))
        spread = f"{100 * one.spread:.0f} %"
        cell = (
            one.name,
            one.precision,
            one.engine,
            str(one.width or "–"),
            str(one.batch),
            str(one.length),
            str(one.threads),
        )
        table.add_row(*cell, f"{one.pairs_per_second:,.0f}", *latencies, spread)
    print_whole(table, console)
    console.print(f"{machine_line()}; {kernel_line()}", highlight=False)
