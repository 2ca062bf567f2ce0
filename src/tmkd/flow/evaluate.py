"""Steps of evaluation: probabilities of every teacher and student on every test set of its task (§4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tmkd.flow.best_teacher import NotYet
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Make, Step, never_made
from tmkd.metrics.learned import class_signs
from tmkd.recipe.seeds import seeded
from tmkd.store import sealed, write_atomic
from tmkd.teachers.teacher import Teacher
from tmkd.train.estimate import Estimate, Sizes, scoring_seconds

if TYPE_CHECKING:
    from tmkd.evaluate.scorers import Probabilities, Scorer

PROBABILITIES = "probabilities"
BUNDLE = "bundle"  # key of its predictions
_AT_ONCE = 2048  # pairs
_BYTES_PER_PAIR = 16  # probabilities of two classes


def predict(run: RunFolder, task: str, scorer: Scorer, folder: Path) -> dict[str, Any]:
    """Store probabilities, float64 (pairs, classes), for every test set of a task; returns the model's size."""
    from safetensors.numpy import load_file, save

    from tmkd.progress import progress

    splits = {split: run.corpus(f"{task}/{split}").table() for split in run.recipe.tasks[task].tests}
    total, done = sum(table.num_rows for table in splits.values()), 0
    with progress(f"evaluate {scorer.name}", "pairs") as report:
        for split, table in splits.items():
            stored = folder / f"{split}.safetensors"
            if stored.is_file():  # by an interrupted run with the same inputs
                done += table.num_rows
                continue
            found = scored(scorer, table, report, done, total)
            done += table.num_rows
            write_atomic(stored, save({PROBABILITIES: found}))
    facts = {"parameters": scorer.parameters, "bytes": scorer.bytes, "precision": scorer.precision, "pairs": total}
    warnings = [
        f"{split}: {sign}"
        for split in splits
        for sign in class_signs(
            load_file(folder / f"{split}.safetensors")[PROBABILITIES],
            run.corpus(f"{task}/{split}").label_array(),
            run.labels(task).names,
        )
    ]
    return facts | ({"warnings": warnings} if warnings else {})


def scored(
    scorer: Scorer, table: pa.Table, report: Callable[[int, int], None], before: int, total: int
) -> Probabilities:
    """Probabilities of a table's pairs, float64 (pairs, classes); `report` gets the pairs done, with those `before`."""
    parts = []
    for start in range(0, table.num_rows, _AT_ONCE):
        part = table.slice(start, _AT_ONCE)
        parts.append(scorer.probabilities(part["question"].to_pylist(), part["passage"].to_pylist()))
        report(before + start + part.num_rows, total)
    return np.concatenate(parts)


def teacher_scorer(run: RunFolder, teacher: Teacher, name: str) -> Scorer:
    """Scorer of a teacher that has a network."""
    from tmkd.evaluate.scorers import from_network

    return from_network(name, teacher.open(run, run.hardware()), teacher.folder(run))


def student_scorer(run: RunFolder, student: Path, name: str) -> Scorer:
    """Scorer of a student, by its artifact."""
    from tmkd.evaluate.scorers import from_student_folder

    return from_student_folder(name, student, run.hardware())


def evaluate_teachers(run: RunFolder) -> Iterator[Step]:
    """Steps that store the probabilities of the teachers of one teachers' seed on the test sets of their tasks."""
    for teacher in run.teachers.values():
        if teacher.pretrained is not None:
            yield _evaluate_teacher(run, teacher, teacher.pretrained)


def evaluate_students(run: RunFolder, row: str, task: str, seed: int) -> Iterator[Step]:
    """Steps that store the probabilities of a row's students with one seed on the test sets of a task."""
    shown, spec = seeded(row, run.teachers_seed), run.recipe.student_of(row)
    estimate = partial(_estimate, run, task, spec.base, spec.layers)
    try:
        students = run.row_students(row, task, seed)
    except NotYet as unready:
        folder, name = run.folder / "predictions", f"evaluate/{task}/{shown}/{seed}"
        yield Step(name, "evaluate", folder, {}, {}, never_made, waits=str(unready), estimate=estimate)
        return
    for student, _ in students:
        yield _evaluate_student(run, task, student, f"{shown} (seed {seed})", estimate)


def bundle_step(run: RunFolder, row: str, task: str) -> Step:
    """Step of evaluating the bundle of a row, by the engine that serves it on this machine."""
    spec = run.recipe.student_of(row)
    estimate = partial(_estimate, run, task, spec.base, spec.layers)
    shown = bundle_row(row)
    try:
        ((student, _),) = run.row_students(row, task, run.recipe.seeds.students[0])
    except NotYet as unready:
        folder = run.predictions_folder(task, BUNDLE)
        name = f"evaluate/{task}/{BUNDLE}"
        return Step(name, "evaluate", folder, {}, {}, never_made, waits=str(unready), estimate=estimate)
    students = run.predictions_folder(task, student.name)

    def make(folder: Path) -> dict[str, Any]:
        return predict(run, task, bundle_scorer(run, shown, sealed(students).facts["parameters"]), folder)

    needs = {"export/bundle": run.bundle_folder, f"evaluate/{task}/{row}": students}
    return prediction_step(run, task, BUNDLE, needs, make, shown, estimate)


def bundle_row(row: str) -> str:
    """Name of the report's row on the bundle of a row."""
    return f"{row}, bundle"


def bundle_scorer(run: RunFolder, name: str, parameters: int) -> Scorer:
    """Scorer of the bundle that is served."""
    from tmkd.evaluate.bundle_scorer import BundleScorer

    return BundleScorer.open(name, run.bundle_folder, parameters)


def _evaluate_teacher(run: RunFolder, teacher: Teacher, pretrained: str) -> Step:
    task, shown = teacher.spec.task, f"teacher {teacher.name}"
    return prediction_step(
        run,
        task,
        f"teacher-{teacher.name}",
        {f"teach/{teacher.name}": run.teacher_folder(teacher.name)},
        lambda folder: predict(run, task, teacher_scorer(run, teacher, shown), folder),
        shown,
        partial(_estimate, run, task, pretrained, None),
    )


def _evaluate_student(
    run: RunFolder, task: str, student: Path, shown: str, estimate: Callable[[Sizes], Estimate]
) -> Step:
    def make(folder: Path) -> dict[str, Any]:
        return predict(run, task, student_scorer(run, student, shown), folder)

    return prediction_step(run, task, student.name, {"the student": student}, make, shown, estimate)


def prediction_step(
    run: RunFolder,
    task: str,
    key: str,
    needs: Mapping[str, Path],
    make: Make,
    shown: str,
    estimate: Callable[[Sizes], Estimate],
    outside: Mapping[str, str] | None = None,
) -> Step:
    """Step that stores a model's probabilities on the test sets of a task; `key` names them."""
    every = {**needs, f"collect/{task}": run.corpus_artifact(task)}
    settings = {"precision": run.recipe.precision, "tests": list(run.recipe.tasks[task].tests)}
    folder, title = run.predictions_folder(task, key), f"evaluate/{task}/{shown}"
    name = f"evaluate/{task}/{key}"
    return Step(name, "evaluate", folder, every, settings, make, outside or {}, shown=title, estimate=estimate)


def _estimate(run: RunFolder, task: str, pretrained: str, layers: int | None, sizes: Sizes) -> Estimate:
    pairs = tested_pairs(run, task, sizes)
    seconds = scoring_seconds(run.pretrained(pretrained).path, layers, pairs)
    return Estimate(pairs, seconds, pairs * _BYTES_PER_PAIR)


def tested_pairs(run: RunFolder, task: str, sizes: Sizes) -> int:
    """Number of pairs in all test sets of a task."""
    return sum(sizes[f"{task}/{split}"] for split in run.recipe.tasks[task].tests)
