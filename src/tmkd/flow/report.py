"""Step of the report: every row measured on the test sets and timed (§4)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tmkd.flow.evaluate import (
    BUNDLE,
    PROBABILITIES,
    bundle_scorer,
    student_scorer,
    teacher_scorer,
    tested_pairs,
)
from tmkd.flow.export import exported_task
from tmkd.flow.health import notes
from tmkd.flow.measured import Measured, measured_rows
from tmkd.flow.run_folder import NotYet, RunFolder
from tmkd.flow.step import Step
from tmkd.flow.yardsticks import yardstick_key, yardstick_scorer, yardsticks
from tmkd.store import digest_json, sealed, verify
from tmkd.train.estimate import Estimate, Sizes, scoring_seconds

if TYPE_CHECKING:
    from tmkd.evaluate.results import Result
    from tmkd.evaluate.scorers import Scorer


def report(run: RunFolder, folder: Path) -> dict[str, Any]:
    """Measure every row, time them side by side, and write report.json and report.html."""
    from tmkd.machine import machine_line
    from tmkd.report.report_json import Report, data_set, write_report_json
    from tmkd.report.results_page import write_report_html

    rows = list(measured_rows(run))
    speeds = _speeds(run, rows)
    results = [result for row in rows for result in _measure(run, row, speeds)]
    warnings = [f"warning: {one.task} × {one.row}: {line}" for one in results for line in one.warnings]
    names = [f"{task}/{split}" for task, entry in run.recipe.tasks.items() for split in ("train", "dev", *entry.tests)]
    whole = Report(
        name=run.recipe.name,
        date=time.strftime("%Y-%m-%d"),
        machine=machine_line(),
        seeds=run.seeds.students,
        teachers_seeds=run.seeds.teachers,
        results=tuple(results),
        data=tuple(data_set(name, run.corpus(name)) for name in (*names, *run.recipe.collect)),
        speeds={
            f"{row.task}: {row.row}" if len(run.recipe.tasks) > 1 else row.row: speeds[row.task, row.keys]
            for row in rows
        },
        notes=(*notes(run), *warnings),
    )
    write_report_json(folder / "report.json", whole)
    write_report_html(folder / "report.html", whole)
    return {"rows": len(results)}


def _speeds(run: RunFolder, rows: list[Measured]) -> dict[tuple[str, tuple[str, ...]], Any]:
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
        scorers = [MeanScorer(shape, _members(run, row)) for shape, row in shapes.items()]
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


def _members(run: RunFolder, row: Measured) -> tuple[Scorer, ...]:
    """Models of a row, checked byte by byte."""
    for model in row.models:
        verify(model)
    if row.kind == "yardstick":
        return (yardstick_scorer(run, row.task, row.row, row.encoder),)
    if row.kind == "bundle":
        parameters = sealed(run.predictions_folder(row.task, BUNDLE)).facts["parameters"]
        return (bundle_scorer(run, row.row, parameters),)
    if row.teachers:
        return tuple(teacher_scorer(run, one, one.name) for one in row.teachers)
    return tuple(student_scorer(run, model, model.name) for model in row.models)


def _measure(run: RunFolder, row: Measured, speeds: dict[tuple[str, tuple[str, ...]], Any]) -> Iterator[Result]:
    """Measure a row on every test set of its task: the mean of its members' probabilities (Eq. 6 is inside each)."""
    from tmkd.evaluate.results import Result
    from tmkd.metrics.learned import class_signs, loss_sign
    from tmkd.metrics.quality import accuracy, auc, ranking

    losses = [sealed(folder).facts.get("losses", ()) for folder in row.made_by]
    trained = [sign for sign in map(loss_sign, losses) if sign is not None]
    manifests = [sealed(run.predictions_folder(row.task, key)) for key in row.keys]
    positive, names = run.labels(row.task).positive_index, run.labels(row.task).names
    for split in run.recipe.tasks[row.task].tests:
        pairs = run.corpus(f"{row.task}/{split}")
        labels = pairs.label_array()
        probabilities = np.mean(
            [_probabilities(run.predictions_folder(row.task, key), split) for key in row.keys], axis=0
        )
        positives = (labels == positive).astype(np.int64)
        scores = probabilities[:, positive]
        signs = [] if row.kind == "yardstick" else class_signs(probabilities, labels, names)
        ranked = ranking(scores, positives, pairs.table()["group"].to_pylist())
        yield Result(
            row=row.row,
            kind=row.kind,
            task=row.task,
            split=split,
            accuracy=accuracy(probabilities, labels),
            auc=auc(scores, positives),
            mrr=ranked.mrr,
            map=ranked.map,
            ndcg_10=ranked.ndcg_10,
            parameters=sum(manifest.facts["parameters"] for manifest in manifests),
            bytes=sum(manifest.facts["bytes"] for manifest in manifests),
            pairs_per_second=speeds[row.task, row.keys].pairs_per_second,
            seed=row.seed,
            teachers_seed=row.teachers_seed,
            seconds_to_make=round(sum(sealed(folder).seconds for folder in row.made_by), 1),
            questions=ranked.questions,
            left_out=ranked.left_out,
            warnings=(*trained, *(f"{split}: {sign}" for sign in signs)),
        )
        trained = []  # reported once


def _probabilities(folder: Path, split: str) -> np.ndarray:
    from safetensors.numpy import load_file

    return np.asarray(load_file(folder / f"{split}.safetensors")[PROBABILITIES])


def report_step(run: RunFolder) -> Step:
    """Step that writes report.json and report.html."""

    needs: dict[str, Path] = {
        f"evaluate/{task}/{row}": run.predictions_folder(task, yardstick_key(encoder))
        for task in run.recipe.tasks
        for row, encoder in yardsticks(run, task).items()
    }
    for name, teacher in ((name, teacher) for part in run.replicates for name, teacher in part.teachers.items()):
        if teacher.pretrained is not None:
            needs[f"evaluate/teacher {name}"] = run.predictions_folder(teacher.spec.task, f"teacher-{name}")
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
    return Step(
        "evaluate/report",
        "evaluate",
        run.folder / "report",
        needs,
        settings,
        lambda folder: report(run, folder),
        waits=waits,
        estimate=lambda sizes: _estimate(run, sizes),
    )


def _estimate(run: RunFolder, sizes: Sizes) -> Estimate:
    """Estimate of the timing: every kind of model once to warm up, then `repeats` times."""
    settings = run.recipe.evaluate
    models = {(one.pretrained, None) for one in run.teachers.values() if one.pretrained is not None}
    students = {(one.base, one.layers) for one in map(run.recipe.student_of, run.recipe.rows)}
    timed = settings.pairs * (settings.repeats + 1)
    seconds = sum(scoring_seconds(run.pretrained(name).path, layers, timed) for name, layers in models | students)
    return Estimate(sum(tested_pairs(run, task, sizes) for task in run.recipe.tasks), 1 + seconds, 1 << 20)
