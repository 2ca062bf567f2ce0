"""Rows of the report and what each is read from."""

from __future__ import annotations

import tiny
from tiny import World
from tmkd.flow.measured import measured_rows


def test_yardsticks_are_first_and_belong_to_no_model(finished: World) -> None:
    run = tiny.opened(finished)
    rows = list(measured_rows(run))
    assert [row.row for row in rows[:3]] == [*tiny.YARDSTICKS, "t1"]
    for row, read in zip(rows[:2], ((), ("bert",)), strict=True):
        assert (row.kind, row.models, row.teachers, row.pretrained) == ("yardstick", (), (), read)
        assert row.made_by == (run.predictions_folder("toy", row.keys[0]),)


def test_a_row_has_the_pretrained_models_that_it_starts_or_learns_from(finished: World) -> None:
    found = {row.row: row.pretrained for row in measured_rows(tiny.opened(finished))}
    assert found == {"bm25": (), **{row: ("bert",) for row in found if row != "bm25"}}
    assert {*tiny.ROWS, "t1", "ensemble"} <= {*found}
    tiny.write_encoder(finished.recipe.parent / "other")
    tiny.change(finished.recipe, "pretrained.other", {"folder": "other"})
    tiny.change(finished.recipe, "student.base", "other")
    found = {row.row: row.pretrained for row in measured_rows(tiny.opened(finished))}
    assert found["cosine (other)"] == found["bert-3"] == ("other",)
    assert found["tmkd"] == found["tkd"] == ("other", "bert")
    assert found["t1"] == ("bert",)


def test_each_pair_of_seeds_is_a_row_of_its_own_where_a_seeded_teacher_takes_part(world: World) -> None:
    for row in ("1-o-1", "tkd"):
        tiny.change(world.recipe, f"rows.{row}", None)
    run = tiny.opened(world, "seeds={students: [1, 2], teachers: [1, 4]}")
    rows = list(measured_rows(run))
    seeds = {name: [(one.teachers_seed, one.seed) for one in rows if one.row == name] for name in ("bert-3", "tmkd")}
    assert seeds == {"bert-3": [(1, 1), (1, 2)], "tmkd": [(1, 1), (1, 2), (4, 1), (4, 2)]}
    assert [(one.row, one.teachers_seed, one.seed, one.keys) for one in rows if one.kind == "teacher"] == [
        ("t1", 1, 1, ("teacher-t1",)),
        ("t2", 1, 2, ("teacher-t2",)),
        ("t1", 4, 3001, ("teacher-t1@4",)),
        ("t2", 4, 3002, ("teacher-t2@4",)),
    ]
    assert len([one for one in rows if one.kind == "yardstick"]) == len(tiny.YARDSTICKS)
    assert len({one.models for one in rows if one.row == "tmkd"}) == 4


def test_each_seed_of_a_row_is_a_row(world: World) -> None:
    for row in ("1-o-1", "tkd"):  # their teacher, the best one, is not known yet
        tiny.change(world.recipe, f"rows.{row}", None)
    run = tiny.opened(world, "seeds=[1, 2]")
    seeds = [row.seed for row in measured_rows(run) if row.row == "bert-3"]
    assert seeds == [1, 2]
