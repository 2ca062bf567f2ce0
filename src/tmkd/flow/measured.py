"""Rows of the report: each with the predictions that it averages and the artifacts behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tmkd.flow.evaluate import BUNDLE, bundle_row
from tmkd.flow.export import exported_task
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.yardsticks import yardstick_key, yardsticks

if TYPE_CHECKING:
    from tmkd.evaluate.results import Kind


@dataclass(frozen=True)
class Measured:
    """Row of the report: the predictions that it averages, and the artifacts made on the way to it.

    `keys` name the predictions, `models` the artifacts they are of, in the same order; `teachers` has their names, or
    is empty; `encoder` is the pretrained one that a yardstick reads, None for BM25 and all else.
    """

    row: str
    kind: Kind
    task: str
    seed: int
    keys: tuple[str, ...]
    models: tuple[Path, ...]
    made_by: tuple[Path, ...]
    teachers: tuple[str, ...] = ()
    encoder: str | None = None


def measured_rows(run: RunFolder) -> Iterator[Measured]:
    """Every row of the report: yardsticks, teachers, their ensemble, the recipe's rows, the exported one's bundle."""
    for task in run.recipe.tasks:
        for row, encoder in yardsticks(run, task).items():
            key = yardstick_key(encoder)
            made = (run.predictions_folder(task, key),)
            yield Measured(row, "yardstick", task, run.recipe.seeds[0], (key,), (), made, encoder=encoder)
        names = [one.name for one in run.teachers.values() if one.spec.task == task and one.pretrained is not None]
        for name in names:
            yield _teachers_row(run, name, "teacher", task, (name,))
        if len(names) > 1:
            yield _teachers_row(run, "ensemble", "ensemble", task, tuple(names))
    for row, task, seed in run.placed_rows():
        students = run.row_students(row, task, seed)
        models = tuple(folder for folder, _ in students)
        stages = dict.fromkeys(
            run.student_folder(chain[:depth], seed) for _, chain in students for depth in range(1, len(chain) + 1)
        )
        yield Measured(row, "student", task, seed, tuple(model.name for model in models), models, tuple(stages))
    if run.recipe.export is not None:
        yield _bundles_row(run, run.recipe.export.row)


def _bundles_row(run: RunFolder, row: str) -> Measured:
    task, seed = exported_task(run, row), run.recipe.seeds[0]
    ((_, chain),) = run.row_students(row, task, seed)
    stages = tuple(run.student_folder(chain[:depth], seed) for depth in range(1, len(chain) + 1))
    folder = run.bundle_folder
    return Measured(bundle_row(row), "bundle", task, seed, (BUNDLE,), (folder,), (*stages, folder))


def _teachers_row(
    run: RunFolder, row: str, kind: Literal["teacher", "ensemble"], task: str, names: tuple[str, ...]
) -> Measured:
    folders = tuple(run.teacher_folder(name) for name in names)
    keys = tuple(f"teacher-{name}" for name in names)
    return Measured(row, kind, task, run.recipe.teachers[names[0]].seed, keys, folders, folders, names)
