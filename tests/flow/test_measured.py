"""Rows of the report and what each is read from."""

from __future__ import annotations

import tiny
from tiny import World
from tmkd.flow.measured import measured_rows


def test_yardsticks_are_first_and_belong_to_no_model(finished: World) -> None:
    run = tiny.opened(finished)
    rows = list(measured_rows(run))
    assert [row.row for row in rows[:3]] == [*tiny.YARDSTICKS, "t1"]
    for row, encoder in zip(rows[:2], (None, "bert"), strict=True):
        assert (row.kind, row.models, row.teachers, row.encoder) == ("yardstick", (), (), encoder)
        assert row.made_by == (run.predictions_folder("toy", row.keys[0]),)


def test_each_seed_of_a_row_is_a_row(world: World) -> None:
    for row in ("1-o-1", "tkd"):  # their teacher, the best one, is not known yet
        tiny.change(world.recipe, f"rows.{row}", None)
    run = tiny.opened(world, "seeds=[1, 2]")
    seeds = [row.seed for row in measured_rows(run) if row.row == "bert-3"]
    assert seeds == [1, 2]
