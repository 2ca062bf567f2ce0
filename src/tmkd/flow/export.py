"""The last steps: what students become outside: a bundle, a one-logit BERT, and bundles of several rows compared."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tmkd.bundle.format import VERSION
from tmkd.flow.run_folder import NotYet, RunFolder
from tmkd.flow.step import Step, never_made
from tmkd.recipe.parts import ExportSpec
from tmkd.store import write_atomic

FRONTIER = "frontier.json"
FRONTIER_PAGE = "frontier.html"


def export_steps(run: RunFolder, settings: ExportSpec) -> Iterator[Step]:
    """The bundle of the row that is served, its one-logit BERT where asked for, and the frontier where rows are named.

    A bundle is checked on the task's test sets and on the recipe's `export.checks`.
    """
    yield _bundle(run, settings, settings.row, run.folder / "bundle", "export", settings.force)
    if settings.compat:
        yield _compat(run, settings)
    for row in settings.frontier:
        yield _bundle(run, settings, row, _frontier_bundle(run, row), "frontier", True)
    if settings.frontier:
        yield _frontier(run, settings)


def _frontier_bundle(run: RunFolder, row: str) -> Path:
    return run.folder / "bundles" / row


def _student(run: RunFolder, row: str) -> tuple[Path, str]:
    """A row's student, of the first seed, and the task it is exported for.  Raises: NotYet."""
    task = (run.recipe.rows[row].tasks or tuple(run.recipe.tasks))[0]
    ((student, _),) = run.row_students(row, task, run.recipe.seeds[0])
    return student, task


def _bundle(run: RunFolder, settings: ExportSpec, row: str, folder: Path, verb: str, force: bool) -> Step:
    name = f"{verb}/bundle" if verb == "export" else f"{verb}/{row}"
    try:
        student, task = _student(run, row)
    except NotYet as unready:
        return Step(name, verb, folder, {}, {}, never_made, waits=str(unready))
    further = tuple(source for sources in settings.checks.values() for source in sources)

    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.collect.judgments import read_labelled
        from tmkd.export.onnx import export_bundle
        from tmkd.export.parity import check_set

        tables = {split: run.corpus(f"{task}/{split}").table() for split in run.recipe.tasks[task].tests}
        for check, sources in settings.checks.items():
            read = [read_labelled(source, run.base, run.labels(task))[0] for source in sources]
            tables[check] = pa.concat_tables(read)
        checks = [check_set(split, table) for split, table in tables.items()]
        some = _pairs(run.corpus(f"{task}/train").table().slice(0, settings.pairs))
        report = export_bundle(student, some, checks, folder, force)
        told, kept = {}, [engine for engine, faults in report["faults"].items() if not faults]
        fate = "used only if asked for: " if kept else "left out (export.force: true ships it all the same): "
        for engine, faults in report["faults"].items():
            if faults:
                told[f"int8, {engine}"] = ("" if force and not kept else fate) + "; ".join(faults)
        return told

    needs = {"the student": student, f"collect/{task}": run.corpus_artifact(task)}
    told: dict[str, Any] = {"version": VERSION, "row": row, "task": task, "force": force, "pairs": settings.pairs}
    if settings.checks:
        told["checks"] = settings.model_dump(mode="json", include={"checks"})["checks"]
    return Step(name, verb, folder, needs, told, make, run.digests(further))


def _compat(run: RunFolder, settings: ExportSpec) -> Step:
    folder = run.folder / "compat"
    try:
        student, task = _student(run, settings.row)
    except NotYet as unready:
        return Step("export/compat", "export", folder, {}, {}, never_made, waits=str(unready))

    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.export.compat import export_compat

        dev = run.corpus(f"{task}/dev")
        report = export_compat(
            student, _pairs(dev.table()), dev.table()["group"].to_pylist(), dev.label_array(), folder
        )
        return {"kendall_tau": report["kendall_tau"]}

    needs = {"the student": student, f"collect/{task}": run.corpus_artifact(task)}
    return Step("export/compat", "export", folder, needs, {"row": settings.row, "task": task}, make)


def _frontier(run: RunFolder, settings: ExportSpec) -> Step:
    bundles = {row: _frontier_bundle(run, row) for row in settings.frontier}
    first = settings.frontier[0]
    task = (run.recipe.rows[first].tasks or tuple(run.recipe.tasks))[0]
    measured = run.recipe.evaluate

    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.evaluate.frontier import frontier_json, measure_points, pick
        from tmkd.machine import machine_line
        from tmkd.report.frontier_page import write_frontier_html

        split = next(iter(run.recipe.tasks[task].tests))
        pairs = _pairs(run.corpus(f"{task}/{split}").table().slice(0, measured.pairs))
        points, machine = measure_points(bundles, pairs, measured.repeats), machine_line()
        write_atomic(folder / FRONTIER, frontier_json(points, settings.budget_ms, machine))
        date = time.strftime("%Y-%m-%d")
        write_frontier_html(folder / FRONTIER_PAGE, run.recipe.name, points, settings.budget_ms, date, machine)
        picked = pick(points, settings.budget_ms)
        return {"bundles": len(points), "picked": f"{picked.row} {picked.precision}" if picked is not None else None}

    needs = {f"frontier/{row}": folder for row, folder in bundles.items()}
    needs[f"collect/{task}"] = run.corpus_artifact(task)
    told = {"budget_ms": settings.budget_ms, "evaluate": measured.model_dump(mode="json")}
    return Step("frontier/report", "frontier", run.folder / "frontier", needs, told, make)


def _pairs(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True))
