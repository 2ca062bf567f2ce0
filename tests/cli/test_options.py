from __future__ import annotations

import tiny
from tiny import World
from tmkd.cli.options import open_run


def test_a_run_lies_under_the_recipes_name_with_its_changes(world: World) -> None:
    run = open_run(world.recipe, ["student.layers=2"], world.runs, everything=False)
    assert (run.folder, run.recipe_base) == (world.runs / "tiny", world.recipe.parent)
    assert run.recipe.student.layers == 2


def test_extras_are_there_when_everything_is_asked_for(world: World) -> None:
    tiny.change(world.recipe, "rows.mkd.extra", True)
    kept = [{*open_run(world.recipe, None, world.runs, everything).recipe.rows} for everything in (False, True)]
    assert kept[1] - kept[0] == {"mkd"}
