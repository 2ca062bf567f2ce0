"""Steps of the yardsticks, in the tiny world."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

import tiny
from tiny import World
from tmkd.errors import UsageError
from tmkd.flow.yardsticks import yardstick_key, yardstick_scorer, yardstick_steps, yardsticks
from tmkd.store import sealed


def test_a_two_class_task_has_bm25_and_the_similarity_of_each_encoder(world: World) -> None:
    run = tiny.opened(world)
    assert yardsticks(run, "toy") == {"bm25": None, "cosine (bert)": "bert"}


def test_the_base_of_a_row_is_a_yardstick_too(world: World) -> None:
    tiny.write_encoder(world.recipe.parent / "other")
    tiny.change(world.recipe, "pretrained.other", {"folder": "other"})
    row = {"student": {"base": "other"}, "stages": [{"corpus": "task", "teachers": [], "alpha": 0.0}]}
    tiny.change(world.recipe, "rows.other", row)
    assert yardsticks(tiny.opened(world), "toy") == {"bm25": None, "cosine (bert)": "bert", "cosine (other)": "other"}


def test_a_task_of_three_classes_has_none(world: World) -> None:
    tiny.change(world.recipe, "tasks.toy.labels", ["no", "maybe", "yes"])
    assert yardsticks(tiny.opened(world), "toy") == {}


def test_their_inputs_are_the_collected_passages_and_the_encoder(world: World) -> None:
    run = tiny.opened(world)
    bm25, cosine = yardstick_steps(run)
    assert set(bm25.needs) == {"collect/toy", "collect/web"}
    assert set(cosine.needs) == {"collect/toy"}
    assert cosine.outside == {"pretrained bert": run.pretrained("bert").digest}


@pytest.mark.parametrize("row", ["bm25", "cosine (bert)"])
def test_what_is_stored_is_what_its_scorer_says(finished: World, row: str) -> None:
    run = tiny.opened(finished)
    encoder = yardsticks(run, "toy")[row]
    folder = run.predictions_folder("toy", yardstick_key(encoder))
    assert {"slope", "offset"} <= set(sealed(folder).facts)
    stored = load_file(folder / "test.safetensors")["probabilities"]
    table = run.corpus("toy/test").table()
    scorer = yardstick_scorer(run, "toy", row, encoder)
    found = scorer.probabilities(table["question"].to_pylist(), table["passage"].to_pylist())
    np.testing.assert_allclose(found, stored, atol=1e-5)


def test_a_row_that_has_a_yardsticks_name_is_refused(world: World) -> None:
    tiny.change(world.recipe, "rows.bm25", {"stages": [{"corpus": "task", "teachers": [], "alpha": 0.0}]})
    with pytest.raises(UsageError, match=r"rows\.bm25: another row of the report has this name"):
        tiny.opened(world)
