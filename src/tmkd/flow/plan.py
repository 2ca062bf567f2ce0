"""Plan of a run (Figure 1): the ordered list of steps. Steps read each other's artifacts; heavy imports wait."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tmkd.distill.rows import chain_key, members
from tmkd.flow.best_teacher import best_possible
from tmkd.flow.collect import collect_steps
from tmkd.flow.distill import distill_steps
from tmkd.flow.evaluate import bundle_step, evaluate_students, evaluate_teachers
from tmkd.flow.export import export_steps, exported_task
from tmkd.flow.precompute import precompute_steps
from tmkd.flow.report import report_step
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.flow.teach import score_step, teach_step
from tmkd.flow.yardsticks import yardstick_steps
from tmkd.store import State

VERBS = ("collect", "teach", "score", "distill", "evaluate", "export", "frontier", "precompute")
BY_ENGINE = ("collect", "score", "precompute")  # verbs whose shards the recipe's engine makes


def steps(run: RunFolder) -> Iterator[Step]:
    """All steps in order. Later ones are planned when reached: `best` needs the dev scores of earlier ones.

    Raises: UsageError, before the first step, when a row names a teacher or corpus that is not there.
    """
    trained_students(run)
    known: set[Path] = set()
    for step in _steps(run):
        if step.waits or step.folder not in known:  # rows share stages, teachers' seeds what no teacher takes part in
            known.add(step.folder)
            yield step


def _steps(run: RunFolder) -> Iterator[Step]:
    """The same, with some steps more than once."""
    recipe = run.recipe
    yield from collect_steps(run)
    for part in run.replicates:
        for teacher in part.teachers.values():
            yield teach_step(part, teacher)
        for corpus in part.corpora():
            for name in part.scorers(corpus):
                yield score_step(part, part.teachers[name], corpus)
        yield from evaluate_teachers(part)
        for row, task, seed in part.placed_rows():  # a row is measured once it is trained: its results outlive a crash
            yield from distill_steps(part, row, task, seed)
            yield from evaluate_students(part, row, task, seed)
    yield from yardstick_steps(run)
    if recipe.export is not None:
        yield from export_steps(run, recipe.export)
        yield bundle_step(run, recipe.export.row, exported_task(run, recipe.export.row))
    yield report_step(run)
    if recipe.serve is not None:
        yield from precompute_steps(run, recipe.serve)


def trained_students(run: RunFolder) -> int:
    """Number of students that the rows stand for, over all seeds; one that several rows share counts once.

    Raises: UsageError when a row names a teacher or corpus that is not there.
    """
    return len(
        {
            chain_key(chain, seed)
            for part in run.replicates
            for row, task, seed in part.placed_rows()
            for chain in members(part.recipe, row, part.recipe.rows[row], task, partial(best_possible, part.recipe))
        }
    )


def seeds_line(run: RunFolder) -> str:
    """Number of students, and the seeds that they are made with."""
    students, teachers = (", ".join(map(str, seeds)) for seeds in (run.seeds.students, run.seeds.teachers))
    return f"students of the rows: {trained_students(run)} (students' seeds {students}; teachers' seeds {teachers})"


def states(run: RunFolder) -> Iterator[tuple[Step, State, str]]:
    """Iterate over every step with its state and the undone step it depends on: then it is stale or missing itself.

    A step that is made before the next one is asked for counts as done.
    """
    undone: dict[Path, str] = {}
    for step in steps(run):
        now = step.state()
        before = (*step.needs.values(), *(() if now.kind == "done" else step.reads))
        waiting = next((undone[folder] for folder in before if folder in undone), "")
        if now.kind == "done" and waiting:
            now = State("stale", f"needs {waiting}", now.seconds)
        yield step, now, waiting
        if waiting or (now.kind != "done" and step.state().kind != "done"):
            undone[step.folder] = step.title
