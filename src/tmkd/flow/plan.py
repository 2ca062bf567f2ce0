"""Plan of a run (Figure 1): the ordered list of steps. Steps read each other's artifacts; heavy imports wait."""

from __future__ import annotations

from collections.abc import Iterator

from tmkd.distill.rows import declared, members
from tmkd.flow.collect import collect_steps
from tmkd.flow.distill import distill_steps
from tmkd.flow.evaluate import bundle_step, evaluate_steps
from tmkd.flow.export import export_steps, exported_task
from tmkd.flow.precompute import precompute_steps
from tmkd.flow.report import report_step
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.flow.teach import score_step, teach_step
from tmkd.flow.yardsticks import yardstick_steps

VERBS = ("collect", "teach", "score", "distill", "evaluate", "export", "frontier", "precompute")


def steps(run: RunFolder) -> Iterator[Step]:
    """All steps in order. Later ones are planned when reached: `best` needs the dev scores of earlier ones.

    Raises: UsageError, before the first step, when a row names a teacher or corpus that is not there.
    """
    recipe = run.recipe
    for row, of, _ in run.placed_rows():
        members(recipe, row, recipe.rows[row], of, run.best_possible)
    yield from collect_steps(run)
    for teacher in run.teachers.values():
        yield teach_step(run, teacher)
    for corpus in run.corpora():
        for name in declared(recipe, corpus):
            yield score_step(run, run.teachers[name], corpus)
    yield from distill_steps(run)
    yield from yardstick_steps(run)
    yield from evaluate_steps(run)
    if recipe.export is not None:
        yield from export_steps(run, recipe.export)
        yield bundle_step(run, recipe.export.row, exported_task(run, recipe.export.row))
    yield report_step(run)
    if recipe.serve is not None:
        yield from precompute_steps(run, recipe.serve)
