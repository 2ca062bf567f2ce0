"""Steps of evaluation: probabilities of every teacher and student on every test set of its task (§4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tmkd.flow.run_folder import NotYet, RunFolder
from tmkd.flow.step import Step, never_made
from tmkd.store import write_atomic

if TYPE_CHECKING:
    from tmkd.evaluate.scorers import Scorer

PROBABILITIES = "probabilities"


def predict(run: RunFolder, task: str, model: Path, teacher: str | None, folder: Path, shown: str) -> dict[str, Any]:
    """Store a model's probabilities, float64 (pairs, classes), for every test set of a task; returns its size.

    `model` is its artifact, `teacher` its name in the recipe, None for a student.
    """
    from safetensors.numpy import save

    from tmkd.progress import progress

    scorer = scorer_of(run, shown, model, teacher)
    splits = {split: run.corpus(f"{task}/{split}").table() for split in run.recipe.tasks[task].tests}
    total, done = sum(table.num_rows for table in splits.values()), 0
    with progress(f"evaluate {shown}", "pairs") as report:
        for split, table in splits.items():
            stored = folder / f"{split}.safetensors"
            if stored.is_file():  # by an interrupted run with the same inputs
                done += table.num_rows
                continue
            parts = []
            for part in (table.slice(start, 2048) for start in range(0, table.num_rows, 2048)):
                parts.append(scorer.probabilities(part["question"].to_pylist(), part["passage"].to_pylist()))
                done += part.num_rows
                report(done, total)
            write_atomic(stored, save({PROBABILITIES: np.concatenate(parts)}))
    return {"parameters": scorer.parameters, "bytes": scorer.bytes, "precision": scorer.precision, "pairs": total}


def scorer_of(run: RunFolder, name: str, model: Path, teacher: str | None) -> Scorer:
    """Scorer of a teacher of the recipe, or (`teacher` None) of the student whose artifact `model` is."""
    from tmkd.evaluate.scorers import from_student_folder, from_teacher_folder

    device, precision = run.hardware()
    if teacher is None:
        return from_student_folder(name, model, device, precision)
    entry = run.recipe.teachers[teacher]
    folder = run.pretrained(entry.model).path if entry.model else model
    return from_teacher_folder(name, folder, run.labels(entry.task), entry.classes, entry.max_length, device, precision)


def evaluate_steps(run: RunFolder) -> Iterator[Step]:
    """Probabilities of every teacher and student on every test set of its task."""
    for name, teacher in run.recipe.teachers.items():
        if teacher.file is None:
            needs = {f"teach/{name}": run.teacher_folder(name)}
            yield _prediction(run, teacher.task, f"teacher-{name}", f"teacher {name}", needs, name)
    planned: set[tuple[str, Path]] = set()
    for row, task, seed in run.placed_rows():
        try:
            students = run.row_students(row, task, seed)
        except NotYet as unready:
            waiting = f"evaluate/{task}/{row}/{seed}"
            yield Step(waiting, "evaluate", run.folder / "predictions", {}, {}, never_made, waits=str(unready))
            continue
        for folder, _ in students:
            if (task, folder) not in planned:
                planned.add((task, folder))
                yield _prediction(run, task, folder.name, f"{row} (seed {seed})", {"the student": folder}, None)


def _prediction(
    run: RunFolder, task: str, key: str, shown: str, needs: Mapping[str, Path], teacher: str | None
) -> Step:
    def make(folder: Path, work: Path) -> dict[str, Any]:
        pass

        return predict(run, task, next(iter(needs.values())), teacher, folder, shown)

    every = {**needs, f"collect/{task}": run.corpus_artifact(task)}
    settings = {"precision": run.recipe.precision, "tests": list(run.recipe.tasks[task].tests)}
    folder, title = run.predictions_folder(task, key), f"evaluate/{task}/{shown}"
    return Step(f"evaluate/{task}/{key}", "evaluate", folder, every, settings, make, shown=title)
