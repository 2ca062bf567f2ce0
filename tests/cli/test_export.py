"""The verbs that make bundles, and what they say to a recipe that asks for none."""

from __future__ import annotations

import tiny
from tiny import Call, World


def test_a_recipe_without_a_frontier_or_with_an_unknown_row_is_an_error(finished: World, tmkd: Call) -> None:
    said = tmkd("frontier", finished.recipe, "--runs", finished.runs)
    assert said.code == 2
    assert "names no rows to compare" in said.err
    tiny.change(finished.recipe, "export", {"row": "tmkd", "frontier": ["m-o-m"]})
    said = tmkd("frontier", finished.recipe, "--runs", finished.runs)
    assert said.code == 2
    assert "export.frontier: no row of one student is called 'm-o-m'" in said.err


def test_a_recipe_that_exports_nothing_gets_a_hint(world: World, tmkd: Call) -> None:
    said = tmkd("export", world.recipe, "--runs", world.runs)
    assert said.code == 2
    assert "export: {row: tmkd}" in said.err


def test_a_row_of_several_students_is_not_exported(world: World, tmkd: Call) -> None:
    tiny.change(world.recipe, "export", {"row": "m-o-m"})
    said = tmkd("check", world.recipe, "--runs", world.runs)
    assert said.code == 2
    assert "no row of one student is called 'm-o-m'; there is bert-3" in said.err
