"""Step of the report: every row measured on the test sets and timed (§4)."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmkd.distill.rows import declared
from tmkd.flow.best_teacher import NotYet
from tmkd.flow.evaluate import BUNDLE, tested_pairs
from tmkd.flow.export import exported_task
from tmkd.flow.health import notes
from tmkd.flow.measure import comparisons, labelled_sets, members, predictions, results
from tmkd.flow.measured import Measured, measured_rows
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.flow.yardsticks import yardstick_key, yardsticks
from tmkd.store import digest_json
from tmkd.train.estimate import Estimate, Sizes, scoring_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence


def report(run: RunFolder, folder: Path) -> dict[str, Any]:
    """Measure every row, compare them, time them side by side, and write report.json, report.html and report.md."""
    from tmkd.evaluate.seen import seen_lines
    from tmkd.evaluate.shares import shares
    from tmkd.evaluate.warnings import warning_lines
    from tmkd.machine import machine_line
    from tmkd.report.files import write_report
    from tmkd.report.report_json import Report, data_set

    rows, tests = list(measured_rows(run)), labelled_sets(run)
    predicted, speeds = predictions(run, rows), _speeds(run, rows)
    found = results(run, predicted, tests, speeds)
    names = [f"{task}/{split}" for task, entry in run.recipe.tasks.items() for split in ("train", "dev", *entry.tests)]
    whole = Report(
        name=run.recipe.name,
        date=time.strftime("%Y-%m-%d"),
        machine=machine_line(),
        seeds=run.seeds.students,
        teachers_seeds=run.seeds.teachers,
        results=tuple(found),
        comparisons=tuple(comparisons(predicted, tests, found)),
        shares=tuple(shares(found, {task: sets[0].base_rate for task, sets in tests.items()})),
        data=tuple(data_set(name, run.corpus(name)) for name in (*names, *run.recipe.collect)),
        speeds={
            f"{row.task}: {row.row}" if len(run.recipe.tasks) > 1 else row.row: speeds[row.task, row.keys]
            for row in rows
        },
        timed=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        notes=(*notes(run), *seen_lines(found), *warning_lines(found)),
    )
    write_report(folder, whole)
    return {"rows": len(found)}


def _speeds(run: RunFolder, rows: Sequence[Measured]) -> dict[tuple[str, tuple[str, ...]], Any]:
    """Pairs/s of every row on its task's first test set, by (task, keys): rows of one shape are timed once."""
    from tmkd.evaluate.scorers import MeanScorer
    from tmkd.evaluate.speed import measure

    settings = run.recipe.evaluate
    found: dict[tuple[str, tuple[str, ...]], Any] = {}
    for task, entry in run.recipe.tasks.items():
        own = [row for row in rows if row.task == task]
        shapes: dict[str, Measured] = {}
        for row in own:
            shapes.setdefault(_shape(run, row), row)
        if not shapes:
            continue
        scorers = [MeanScorer(shape, members(run, row)) for shape, row in shapes.items()]
        table = run.corpus(f"{task}/{next(iter(entry.tests))}").table().slice(0, settings.pairs)
        print(f"timing {len(scorers)} kinds of row on {table.num_rows} pairs", file=sys.stderr)
        timed = measure(
            scorers, table["question"].to_pylist(), table["passage"].to_pylist(), settings.repeats, settings.batch
        )
        for row in own:
            found[task, row.keys] = timed[_shape(run, row)]
    return found


def _shape(run: RunFolder, row: Measured) -> str:
    """Key of a row's speed, which does not depend on weights: rows alike but for the headers share one timing."""
    if row.kind in ("bundle", "yardstick"):
        return row.row
    if row.teachers:
        return str([(one.pretrained, one.spec.max_length) for one in row.teachers])
    return str((len(row.keys), run.recipe.student_of(row.row)))


def report_step(run: RunFolder) -> Step:
    """Step that writes report.json, report.html and report.md."""

    needs: dict[str, Path] = {
        f"evaluate/{task}/{row}": run.predictions_folder(task, yardstick_key(encoder))
        for task in run.recipe.tasks
        for row, encoder in yardsticks(run, task).items()
    }
    for part, name, teacher in ((one, *known) for one in run.replicates for known in one.teachers.items()):
        if teacher.pretrained is not None:
            task = teacher.spec.task
            needs[f"evaluate/teacher {name}"] = run.predictions_folder(task, f"teacher-{name}")
            if name in declared(part.recipe, f"{task}/dev"):  # the best teacher is the best by dev
                needs[f"score/{task}/dev/{name}"] = run.soft_folder(f"{task}/dev", name)
    waits = ""
    rows: list[list[object]] = []
    for part, row, task, seed in ((one, *placed) for one in run.replicates for placed in one.placed_rows()):
        try:
            keys = [folder.name for folder, _ in part.row_students(row, task, seed)]
        except NotYet as unready:
            waits = str(unready)
            break
        if [row, task, seed, keys] not in rows:
            rows.append([row, task, seed, keys])
        needs |= {f"evaluate/{task}/{row}/{key}": run.predictions_folder(task, key) for key in keys}
    if run.recipe.export is not None:
        task = exported_task(run, run.recipe.export.row)
        needs[f"evaluate/{task}/{BUNDLE}"] = run.predictions_folder(task, BUNDLE)
    needs |= {f"collect/{name}": run.corpus_artifact(name) for name in (*run.recipe.tasks, *run.recipe.collect)}
    settings = {"rows": digest_json(rows), "evaluate": run.recipe.evaluate.model_dump(mode="json")}
    seen = {name: [*one.seen] for name, one in run.recipe.pretrained.items() if one.seen}
    settings |= {"seen": seen} if seen else {}
    return Step(
        "evaluate/report",
        "evaluate",
        run.folder / "report",
        needs,
        settings,
        lambda folder: report(run, folder),
        waits=waits,
        alone=True,
        estimate=lambda sizes: _estimate(run, sizes),
    )


def _estimate(run: RunFolder, sizes: Sizes) -> Estimate:
    """Estimate of the timing: every kind of model once to warm up, then `repeats` times."""
    settings = run.recipe.evaluate
    models = {(one.pretrained, None) for one in run.teachers.values() if one.pretrained is not None}
    students = {(one.base, one.layers) for one in map(run.recipe.student_of, run.rows)}
    timed = settings.pairs * (settings.repeats + 1)
    seconds = sum(scoring_seconds(run.pretrained(name).path, layers, timed) for name, layers in models | students)
    return Estimate(sum(tested_pairs(run, task, sizes) for task in run.recipe.tasks), 1 + seconds, 1 << 20)
