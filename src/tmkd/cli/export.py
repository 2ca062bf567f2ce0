"""The verbs that make bundles of students: tmkd export, tmkd frontier."""

from __future__ import annotations

from tmkd.cli.bundle import Json
from tmkd.cli.options import All, Changes, Part, RecipeFile, Runs, open_run, out, work_on
from tmkd.errors import UsageError


def export(recipe: RecipeFile, set_: Changes = None, runs: Runs = "runs", all_: All = False) -> None:
    """Write the bundle that is served: ONNX in fp32 and int8, compared with the student before it is sealed."""
    run = open_run(recipe, set_, runs, Part(everything=all_))
    if run.recipe.export is None:
        raise UsageError(f"{recipe} does not say what to export; add a line such as: export: {{row: tmkd}}")
    made = work_on(recipe, set_, runs, ("export",), Part(everything=all_))
    made.bring(made.bundle_folder)
    out.print(str(made.bundle_folder), highlight=False, markup=False, soft_wrap=True)


def frontier(
    recipe: RecipeFile, set_: Changes = None, runs: Runs = "runs", json_: Json = False, all_: All = False
) -> None:
    """Export the rows that export.frontier names, draw accuracy against speed, and mark what the budget picks."""
    from tmkd.cli.show import show_frontier

    if not (settings := open_run(recipe, set_, runs, Part(everything=all_)).recipe.export) or not settings.frontier:
        raise UsageError(f"{recipe} names no rows to compare; add, say: export: {{frontier: [tmkd], budget_ms: 10}}")
    show_frontier(work_on(recipe, set_, runs, ("frontier",), Part(everything=all_)), out, json_)
