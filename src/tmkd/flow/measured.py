"""Rows of the report: each with the predictions that it averages and the artifacts behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tmkd.distill.rows import PlannedStage
from tmkd.flow.evaluate import BUNDLE, bundle_row
from tmkd.flow.export import exported_task
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.yardsticks import yardstick_key, yardsticks
from tmkd.recipe.seeds import unseeded
from tmkd.teachers.teacher import Teacher

if TYPE_CHECKING:
    from tmkd.evaluate.results import Kind


@dataclass(frozen=True, eq=False)
class Measured:
    """Row of the report: the predictions that it averages, and the artifacts made on the way to it.

    `seed` is the students', or a teacher's own; `keys` name the predictions, `models` the artifacts they are of, in the
    same order, and `teachers` those among them; `pretrained` are the pretrained models that a yardstick reads, or that
    a row starts from or learns from through a teacher.
    """

    row: str
    kind: Kind
    task: str
    seed: int
    teachers_seed: int
    keys: tuple[str, ...]
    models: tuple[Path, ...]
    made_by: tuple[Path, ...]
    teachers: tuple[Teacher, ...] = ()
    pretrained: tuple[str, ...] = ()


def measured_rows(run: RunFolder) -> Iterator[Measured]:
    """Every row of the report: yardsticks, teachers, their ensemble, the recipe's rows, the exported one's bundle.

    A row that no re-seeded teacher takes part in has the first teachers' seed alone.
    """
    known: set[tuple[object, ...]] = set()
    for row in _measured_rows(run):
        measured = (row.row, row.task, row.seed, row.keys)
        if measured not in known:
            known.add(measured)
            yield row


def _measured_rows(run: RunFolder) -> Iterator[Measured]:
    """The same, with some rows once per teachers' seed that changes nothing in them."""
    for task in run.recipe.tasks:
        for row, encoder in yardsticks(run, task).items():
            key = yardstick_key(encoder)
            made = (run.predictions_folder(task, key),)
            seed = run.seeds.students[0]
            read = () if encoder is None else (encoder,)
            yield Measured(row, "yardstick", task, seed, run.teachers_seed, (key,), (), made, pretrained=read)
        for part in run.replicates:
            own = tuple(one for one in part.teachers.values() if one.spec.task == task and one.pretrained is not None)
            for teacher in own:
                yield _teachers_row(part, unseeded(teacher.name), "teacher", task, (teacher,))
            together = tuple(teacher for teacher in own if not teacher.spec.named)
            if len(together) > 1:
                yield _teachers_row(part, "ensemble", "ensemble", task, together)
    for part in run.replicates:
        for row, task, seed in part.placed_rows():
            yield _students_row(part, row, task, seed)
    if run.recipe.export is not None:
        yield _bundles_row(run, run.recipe.export.row)


def _students_row(run: RunFolder, row: str, task: str, seed: int) -> Measured:
    students = run.row_students(row, task, seed)
    models = tuple(folder for folder, _ in students)
    stages = dict.fromkeys(
        run.student_folder(chain[:depth], seed) for _, chain in students for depth in range(1, len(chain) + 1)
    )
    keys = tuple(model.name for model in models)
    read = _pretrained(run, row, [chain for _, chain in students])
    return Measured(row, "student", task, seed, run.teachers_seed, keys, models, tuple(stages), pretrained=read)


def _bundles_row(run: RunFolder, row: str) -> Measured:
    task, seed = exported_task(run, row), run.seeds.students[0]
    ((_, chain),) = run.row_students(row, task, seed)
    stages = tuple(run.student_folder(chain[:depth], seed) for depth in range(1, len(chain) + 1))
    made, read = (*stages, run.bundle_folder), _pretrained(run, row, [chain])
    return Measured(
        bundle_row(row), "bundle", task, seed, run.teachers_seed, (BUNDLE,), made[-1:], made, pretrained=read
    )


def _teachers_row(
    run: RunFolder, row: str, kind: Literal["teacher", "ensemble"], task: str, teachers: tuple[Teacher, ...]
) -> Measured:
    folders = tuple(run.teacher_folder(one.name) for one in teachers)
    keys = tuple(f"teacher-{one.name}" for one in teachers)
    read = tuple(dict.fromkeys(one.pretrained for one in teachers if one.pretrained is not None))
    return Measured(
        row, kind, task, teachers[0].spec.seed, run.teachers_seed, keys, folders, folders, teachers, pretrained=read
    )


def _pretrained(run: RunFolder, row: str, chains: Iterable[Sequence[PlannedStage]]) -> tuple[str, ...]:
    """The student's start, then what the teachers of its stages start from."""
    taught = (run.teachers[name].pretrained for chain in chains for planned in chain for name in planned.teachers)
    return tuple(name for name in dict.fromkeys((run.recipe.student_of(row).base, *taught)) if name is not None)
