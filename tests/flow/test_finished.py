"""Rows finished elsewhere: taken from their fragments, joined with those made here, or refused before any work."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import yaml

import tiny
from finished_steps import printed_rows, steps_made
from tiny import Call, World
from tmkd.errors import TmkdError
from tmkd.flow.finished import left_to_make
from tmkd.flow.fragments import recipe_digests
from tmkd.flow.run_folder import RunFolder
from tmkd.report.row_fragment import read_row, write_row

STUDENTS = {"bert-3", "1-o-1", "1avg-o-1", "m-o-m", "tkd", "mkd", "tmkd"}


@pytest.fixture
def moved(finished: World) -> World:
    """A machine that has the fragments of all rows, and no run folder."""
    shutil.rmtree(finished.runs)
    (finished.recipe.parent / "results").rename(finished.recipe.parent / "kept")
    tiny.change(finished.recipe, "fragments", "kept/tiny")
    return finished


def left(world: World, *changes: str) -> tuple[set[str], set[str]]:
    """Rows and teachers that are left to be made."""
    found = left_to_make(tiny.opened(world, *changes))
    assert found is not None
    return {one.row for one in found.rows}, {*found.teachers}


def without(world: World, row: str, kind: str = "student") -> None:
    """Take a row's fragment away."""
    (path,) = (world.recipe.parent / "kept" / "tiny" / "rows").glob(f"toy.{kind}.{row}.*.npz")
    path.unlink()


def test_nothing_is_left_where_all_rows_are_finished(moved: World, tmkd: Call) -> None:
    assert left(moved) == (set(), set())
    said = tmkd("run", moved.recipe, "--runs", moved.runs)
    assert (said.code, steps_of(said.err)) == (0, [])
    assert {*printed_rows(said.out)} >= {*STUDENTS, "t1", "t2", "ensemble", "bm25"}
    assert [path.name for path in sorted(moved.run.iterdir())] == ["report.html", "report.json", "report.md"]


def steps_of(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("  done in")]


def test_rows_that_lack_a_fragment_are_made_and_joined(moved: World, tmkd: Call) -> None:
    without(moved, "mkd")
    without(moved, "bert-3")
    assert left(moved) == ({"mkd", "bert-3"}, {"t1", "t2"})
    said = tmkd("run", moved.recipe, "--runs", moved.runs)
    assert said.code == 0, said.err
    made = steps_made(said)
    assert {title for title in made if title.startswith("distill")} == {"distill/toy/bert-3/1", "distill/toy/mkd/1"}
    report = json.loads((moved.run / "report.json").read_text())
    assert {one["row"] for one in report["rows"]} >= STUDENTS
    # A second time they lie in the run folder.
    again = tmkd("run", moved.recipe, "--runs", moved.runs)
    assert (again.code, steps_made(again)) == (0, [])
    assert {*printed_rows(again.out)} >= STUDENTS


def test_a_teacher_without_a_fragment_is_made_for_its_own_row(moved: World) -> None:
    without(moved, "t2", "teacher")
    assert left(moved) == (set(), {"t2"})


def test_a_row_that_is_another_one_now_is_made(moved: World) -> None:
    assert left(moved, "rows.tkd.stages.0.fit.epochs=7") == ({"tkd"}, {"t1", "t2", "judge"})
    assert left_to_make(tiny.opened(moved, "student.max_length=40")) is None  # all of them
    assert left_to_make(tiny.opened(moved, "seeds=[2]")) is None


def test_a_rows_settings_for_another_task_undo_nothing(moved: World) -> None:
    tiny.change(moved.recipe, "tasks.far", yaml.safe_load(moved.recipe.read_text())["tasks"]["toy"])
    for task, remade in (("far", set()), ("toy", {"tkd"})):
        found = left_to_make(tiny.opened(moved, f"rows.tkd.stages.0.fit_on={{{task}: {{epochs: 7}}}}"))
        assert found is not None
        assert {one.row for one in found.rows if one.task == "toy"} == remade


def test_a_row_rests_on_the_row_whose_steps_it_takes(finished: World) -> None:
    tiny.change(finished.recipe, "rows.long", {"stages": [{"use": "finetune", "steps_of": "tmkd"}]})
    before, after = (
        recipe_digests(tiny.opened(finished, *changes), "long", "toy")
        for changes in ((), ("rows.tmkd.stages.1.fit={epochs: 9}",))
    )
    assert {name for name in before if before[name] != after[name]} == {"rows.tmkd on toy"}


def test_rows_of_this_run_folder_are_no_others(finished: World) -> None:
    assert left_to_make(tiny.opened(finished, "fragments=results/tiny")) is None
    assert left_to_make(tiny.opened(finished)) is None


def test_only_what_is_asked_for_is_left(moved: World) -> None:
    from tmkd.distill.selection import select

    without(moved, "mkd")
    without(moved, "tkd")
    run = tiny.opened(moved)
    asked = RunFolder(run.asked, run.recipe_base, run.folder, select(run.asked, ["tkd", "tmkd"], []))
    found = left_to_make(asked)
    assert found is not None
    assert {one.row for one in found.rows} == {"tkd"}


def test_a_run_that_another_commit_began_is_not_gone_on_with(finished: World) -> None:
    tiny.change(finished.recipe, "fragments", "results/tiny")
    folder = finished.recipe.parent / "results" / "tiny"
    for path in (folder / "rows").glob("*.npz"):
        row, tested = read_row(path)
        write_row(folder, replace(row, origin=replace(row.origin, commit="facade")), tested)
    assert left_to_make(tiny.opened(finished)) is None  # nothing is made, so nothing of another commit
    with pytest.raises(TmkdError, match=r"rows are of commit facade, and this checkout has none"):
        left_to_make(tiny.opened(finished, "rows.new={stages: [{use: finetune, teachers: [t1], alpha: 0.3}]}"))


def test_rows_of_another_commit_are_refused_before_any_work(moved: World) -> None:
    without(moved, "mkd")
    folder = moved.recipe.parent / "kept" / "tiny"
    (path,) = (folder / "rows").glob("*.tkd.1.npz")
    row, tested = read_row(path)
    write_row(folder, replace(row, origin=replace(row.origin, commit="facade")), tested)
    with pytest.raises(TmkdError, match=r"rows are of commit facade, and this checkout has none: .*fragments=null"):
        left(moved)
