"""Export steps: the served bundle, the one-logit BERT, the accuracy-speed frontier."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from tmkd.bundle.format import VERSION
from tmkd.distill.rows import PlannedStage
from tmkd.flow.best_teacher import NotYet
from tmkd.flow.evaluate import tested_pairs
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step, never_made
from tmkd.recipe.serving import ExportSpec
from tmkd.store import write_atomic
from tmkd.train.estimate import Estimate, Sizes, scoring_seconds, weight_bytes

FRONTIER = "frontier.json"
FRONTIER_PAGE = "frontier.html"
_QUANTISING_SECONDS = 20  # of int8 weights by GPTQ, whatever the test sets are
_RANKED_PAIRS = 2200  # that a bundle's latency is measured on


def export_steps(run: RunFolder, settings: ExportSpec) -> Iterator[Step]:
    """Steps of the export: the bundle, the one-logit BERT where asked for, and the frontier where rows are named.

    A bundle is checked on the task's test sets, on the recipe's `export.checks`, and on questions of its student's
    stage-1 corpora.
    """
    yield _bundle(run, settings, settings.row, "export")
    if settings.compat:
        yield _compat(run, settings)
    for row in settings.frontier:
        yield _bundle(run, settings, row, "frontier")
    if settings.frontier:
        yield _frontier(run, settings)


def _frontier_bundle(run: RunFolder, row: str) -> Path:
    return run.folder / "bundles" / row


def _student(run: RunFolder, row: str) -> Path:
    """Student of a row, of the first seed and the first task.  Raises: NotYet."""
    return _chain(run, row)[0]


def _chain(run: RunFolder, row: str) -> tuple[Path, tuple[PlannedStage, ...]]:
    """Student of a row and the stages that make it.  Raises: NotYet."""
    (chain,) = run.row_students(row, exported_task(run, row), run.recipe.seeds.students[0])
    return chain


def exported_task(run: RunFolder, row: str) -> str:
    """First task of a row: its student for this one is exported."""
    return (run.recipe.rows[row].tasks or tuple(run.recipe.tasks))[0]


def _bundle(run: RunFolder, settings: ExportSpec, row: str, verb: Literal["export", "frontier"]) -> Step:
    served = verb == "export"
    name, folder = (f"{verb}/bundle", run.bundle_folder) if served else (f"{verb}/{row}", _frontier_bundle(run, row))
    force = settings.force if served else True  # the frontier shows a bundle that fails its checks, too
    task = exported_task(run, row)
    estimate = partial(_bundle_estimate, run, settings, row)
    try:
        student, stages = _chain(run, row)
    except NotYet as unready:
        return Step(name, verb, folder, {}, {}, never_made, waits=str(unready), estimate=estimate)
    stage_1 = [stage.corpus for stage in stages if stage.corpus in run.recipe.collect]
    further = tuple(source for sources in settings.checks.values() for source in sources)

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.collect.judgments import read_labelled
        from tmkd.export.onnx import export_bundle
        from tmkd.export.parity import ENOUGH, check_set

        tables = {split: run.corpus(f"{task}/{split}").table() for split in run.recipe.tasks[task].tests}
        for check, sources in settings.checks.items():
            read = [read_labelled(source, run.base, run.labels(task))[0] for source in sources]
            tables[check] = pa.concat_tables(read, promote_options="default")
        tables |= {name: _ranked(run.corpus(name).table(), ENOUGH) for name in stage_1}
        checks = [check_set(split, table) for split, table in tables.items()]
        some = _pairs(run.corpus(f"{task}/train").table().slice(0, settings.pairs))
        report = export_bundle(student, some, checks, folder, force)
        return _int8_facts(report["faults"], force)

    needs = {"the student": student}
    needs |= {f"collect/{name}": run.corpus_artifact(name) for name in (task, *stage_1)}
    chosen: dict[str, Any] = {"version": VERSION, "row": row, "task": task, "force": force, "pairs": settings.pairs}
    if settings.checks:
        chosen["checks"] = settings.model_dump(mode="json", include={"checks"})["checks"]
    return Step(name, verb, folder, needs, chosen, make, run.digests(further), estimate=estimate)


def _int8_facts(faults: Mapping[str, Sequence[str]], force: bool) -> dict[str, str]:
    """Facts of a bundle's int8 graph: the engines that kept its limits, what fails in the others and what follows."""
    kept = "; ".join(engine for engine, found in faults.items() if not found)
    fate = "used only if asked for: " if kept else "left out (export.force: true ships it all the same): "
    prefix = "" if force and not kept else fate
    broken = {f"int8, {engine}": prefix + "; ".join(found) for engine, found in faults.items() if found}
    return ({"int8 kept by": kept} if kept else {}) | broken


def _bundle_estimate(run: RunFolder, settings: ExportSpec, row: str, sizes: Sizes) -> Estimate:
    """Estimate of a bundle: calibration, then the student, fp32 and int8 in three engines on the test sets."""
    student = run.recipe.student_of(row)
    base, pairs = run.pretrained(student.base).path, tested_pairs(run, exported_task(run, row), sizes)
    seconds = scoring_seconds(base, student.layers, settings.pairs + 5 * pairs)
    return Estimate(pairs, _QUANTISING_SECONDS + seconds, weight_bytes(base))


def _compat(run: RunFolder, settings: ExportSpec) -> Step:
    folder, task = run.folder / "compat", exported_task(run, settings.row)

    def estimate(sizes: Sizes) -> Estimate:
        spec, pairs = run.recipe.student_of(settings.row), sizes[f"{task}/dev"]
        base = run.pretrained(spec.base).path
        return Estimate(pairs, 1 + scoring_seconds(base, spec.layers, 2 * pairs), weight_bytes(base))

    try:
        student = _student(run, settings.row)
    except NotYet as unready:
        return Step("export/compat", "export", folder, {}, {}, never_made, waits=str(unready), estimate=estimate)

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.export.compat import export_compat

        dev = run.corpus(f"{task}/dev")
        report = export_compat(
            student, _pairs(dev.table()), dev.table()["group"].to_pylist(), dev.label_array(), folder
        )
        return {"kendall_tau": report["kendall_tau"]}

    needs = {"the student": student, f"collect/{task}": run.corpus_artifact(task)}
    chosen = {"row": settings.row, "task": task}
    return Step("export/compat", "export", folder, needs, chosen, make, estimate=estimate)


def _frontier(run: RunFolder, settings: ExportSpec) -> Step:
    bundles = {row: _frontier_bundle(run, row) for row in settings.frontier}
    task = exported_task(run, settings.frontier[0])
    measured = run.recipe.evaluate

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.evaluate.frontier import frontier_json, measure_points, pick
        from tmkd.machine import machine_line
        from tmkd.report.frontier_page import write_frontier_html

        split = next(iter(run.recipe.tasks[task].tests))
        pairs = _pairs(run.corpus(f"{task}/{split}").table().slice(0, measured.pairs))
        points = measure_points(bundles, pairs, measured.repeats, _dev_accuracies(run, task, settings.frontier))
        machine = machine_line()
        write_atomic(folder / FRONTIER, frontier_json(points, settings.budget_ms, machine))
        date = time.strftime("%Y-%m-%d")
        write_frontier_html(folder / FRONTIER_PAGE, run.recipe.name, points, settings.budget_ms, date, machine)
        picked = pick(points, settings.budget_ms)
        return {"bundles": len(points), "picked": f"{picked.row} {picked.precision}" if picked is not None else None}

    needs = {f"frontier/{row}": folder for row, folder in bundles.items()}
    needs[f"collect/{task}"] = run.corpus_artifact(task)

    def estimate(sizes: Sizes) -> Estimate:
        calls = (measured.repeats + 1) * measured.pairs + _RANKED_PAIRS  # of a bundle in one of its two precisions
        each = [run.recipe.student_of(row) for row in settings.frontier]
        seconds = sum(scoring_seconds(run.pretrained(one.base).path, one.layers, 2 * calls) for one in each)
        return Estimate(measured.pairs, 1 + seconds, 1 << 20)

    chosen = {"budget_ms": settings.budget_ms, "evaluate": measured.model_dump(mode="json")}
    return Step(
        "frontier/report", "frontier", run.folder / "frontier", needs, chosen, make, alone=True, estimate=estimate
    )


def _dev_accuracies(run: RunFolder, task: str, rows: Container[str]) -> dict[str, float | None]:
    """Accuracy on dev of each row's exported student."""
    from tmkd.flow.measure import dev_accuracy
    from tmkd.flow.measured import measured_rows

    first = run.teachers_seed, run.seeds.students[0]
    exported = [one for one in measured_rows(run) if one.kind == "student" and (one.teachers_seed, one.seed) == first]
    return {one.row: dev_accuracy(run, one) for one in exported if one.task == task and one.row in rows}


def _ranked(corpus: pa.Table, most: int) -> pa.Table:
    """Pairs of a corpus's first `most` questions that have two passages or more."""
    counts = corpus.group_by("group", use_threads=False).aggregate([([], "count_all")])
    several = counts.filter(pc.greater(counts["count_all"], 1))["group"].slice(0, most)
    return corpus.filter(pc.is_in(corpus["group"], several))


def _pairs(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True))
