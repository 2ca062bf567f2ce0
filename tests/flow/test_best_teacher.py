"""The best teacher by dev."""

from __future__ import annotations

import pytest

import tiny
from tiny import World
from tmkd.flow.best_teacher import NotYet, best, best_possible
from tmkd.store import sealed


def test_the_best_teacher_is_not_known_before_all_have_scored_dev(world: World) -> None:
    run = tiny.opened(world)
    with pytest.raises(NotYet, match="score/toy/dev/t1"):
        best(run.recipe, run.soft_folder, ("t1", "t2"))


def test_the_best_teacher_has_the_highest_accuracy_on_dev(finished: World) -> None:
    run = tiny.opened(finished)
    accuracies = {name: sealed(run.soft_folder("toy/dev", name)).facts["accuracy"] for name in ("t1", "t2")}
    chosen = best(run.recipe, run.soft_folder, ("t1", "t2"))
    assert accuracies[chosen] == max(accuracies.values())


def test_any_teacher_that_scores_dev_may_turn_out_the_best(world: World) -> None:
    assert best_possible(tiny.opened(world).recipe, ("t1", "t2")) in ("t1", "t2")
