"""Fragments of a run: of each row and teacher, without text, the same on a second run, joined, imported elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import tiny
from finished_steps import steps_made
from tiny import Call, World
from tmkd.data.fragment import read_fragment
from tmkd.distill.selection import select
from tmkd.flow.fragments import FragmentWriter, _placed, results_folder
from tmkd.flow.measured import measured_rows
from tmkd.flow.run_folder import RunFolder
from tmkd.report.report_json import read_report
from tmkd.report.row_fragment import read_row, row_path
from tmkd.store import versions


def fragments(world: World) -> dict[str, bytes]:
    """Files of the run's results, by their names in its folder."""
    folder = results_folder(tiny.opened(world).folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_row_and_teacher_leaves_a_fragment(finished_world: World) -> None:
    run = tiny.opened(finished_world)
    rows = {str(row_path(Path(), row)) for row in measured_rows(run)}
    teachers = {f"teachers/{name}.npz" for name in tiny.TEACHERS}  # the judge's scores are the user's own file
    found = {*fragments(finished_world)}
    assert rows | teachers <= found
    others = found - rows - teachers
    assert {name.partition("/")[0] for name in others} == {"pairs"}
    assert len(others) == 3  # train, dev and web
    assert results_folder(run.folder) == finished_world.recipe.parent / "results" / "tiny"


def test_a_rows_place_counts_the_extras_that_were_not_asked_for(finished_world: World) -> None:
    whole = tiny.opened(finished_world)
    names = [*whole.recipe.rows]
    first = whole.recipe.rows[names[0]].model_copy(update={"extra": True})
    read = whole.recipe.model_copy(update={"rows": whole.recipe.rows | {names[0]: first}}).without_extras()
    assert names[0] not in read.rows
    placed = _placed(RunFolder(read, whole.recipe_base, whole.folder))
    assert {row.row: place for place, row in placed if row.kind == "student"} == {
        name: place for place, name in enumerate(names) if place > 0
    }


def test_a_fragment_holds_the_rows_part_of_the_report(finished_world: World) -> None:
    run = tiny.opened(finished_world)
    report = read_report(finished_world.run / "report.json")
    for row in measured_rows(run):
        found, tested = read_row(row_path(results_folder(run.folder), row))
        assert list(found.results) == [one for one in report.results if one.row == row.row]
        assert found.speed is not None
        assert (found.speed.speed, found.speed.machine) == (report.speeds[row.row], report.machine)
        assert found.speed.timed == report.timed != ""
        assert (found.run, found.origin.commit, found.origin.versions) == ("tiny", "none", versions())
        stored = [
            load_file(run.predictions_folder("toy", key) / "test.safetensors")["probabilities"] for key in row.keys
        ]
        test, probabilities = tested["test"]
        np.testing.assert_array_equal(probabilities, np.mean(stored, axis=0).astype(np.float32))
        assert test.labels.tolist() == run.corpus("toy/test").label_array().tolist()
        groups = run.corpus("toy/test").table()["group"].to_pylist()
        assert [a == b for a in test.groups for b in test.groups] == [a == b for a in groups for b in groups]


def test_no_text_is_in_them(finished_world: World) -> None:
    texts = [text.encode() for text in ("because of", "what is", "buy the", "moon")]
    folder = results_folder(tiny.opened(finished_world).folder)
    for path in folder.rglob("*.npz"):
        facts, arrays = read_fragment(path)
        content = b"".join([json.dumps(facts).encode(), *(array.tobytes() for array in arrays.values())])
        assert not [text for text in texts if text in content]


def test_a_second_run_leaves_them_as_they_are(finished: World, tmkd: Call) -> None:
    before = fragments(finished)
    shutil.rmtree(finished.recipe.parent / "results" / "tiny" / "teachers")
    (path,) = (finished.recipe.parent / "results" / "tiny" / "rows").glob("*.tkd.1.npz")
    path.write_bytes(b"damaged")
    assert tmkd("run", finished.recipe, "--runs", finished.runs).code == 0
    after = fragments(finished)
    assert after.keys() == before.keys()
    origin = {name for name in before if before[name] != after[name]}  # made on another day, or told by another process
    assert origin <= {"teachers/t1.npz", "teachers/t2.npz", "rows/toy.student.tkd.1.npz"}


def test_what_models_have_seen_reaches_the_report_and_the_fragments_of_a_finished_run(
    finished: World, tmkd: Call
) -> None:
    tiny.change(finished.recipe, "pretrained.bert.seen", ["toy/test"])
    assert tmkd("run", finished.recipe, "--runs", finished.runs).code == 0
    report = read_report(finished.run / "report.json")
    assert {one.row for one in report.results if one.seen != ("bert",)} == {"bm25"}
    assert any(
        note.startswith("toy: bert was trained on the source of test; it takes part in ") for note in report.notes
    )
    run = tiny.opened(finished)
    for row in measured_rows(run):
        kept, _ = read_row(row_path(results_folder(run.folder), row))
        assert list(kept.results) == [one for one in report.results if one.row == row.row]


def test_a_row_that_is_not_timed_now_keeps_its_speed(finished: World) -> None:
    run = tiny.opened(finished)
    (row,) = [row for row in measured_rows(run) if row.row == "mkd"]
    path = row_path(results_folder(run.folder), row)
    before, _ = read_row(path)
    tiny.change(finished.recipe, "pretrained.bert.seen", ["toy"])
    FragmentWriter(tiny.opened(finished)).add(run.predictions_folder("toy", row.keys[0]))
    after, _ = read_row(path)
    assert after.first.seen == ("bert",)
    assert (after.speed, after.first.pairs_per_second) == (before.speed, before.first.pairs_per_second)
    assert after.speed is not None


def test_a_row_is_written_before_the_report_and_timed_after_it(finished: World) -> None:
    run = tiny.opened(finished)
    shutil.rmtree(results_folder(run.folder))
    writer = FragmentWriter(run)
    (row,) = [row for row in measured_rows(run) if row.row == "mkd"]
    path = row_path(results_folder(run.folder), row)
    writer.add(run.predictions_folder("toy", row.keys[0]))
    untimed, _ = read_row(path)
    assert (untimed.speed, untimed.first.pairs_per_second) == (None, None)
    assert not (results_folder(run.folder) / "teachers").exists()
    writer.add(run.folder / "report")
    timed, _ = read_row(path)
    assert timed.speed is not None
    assert timed.first.pairs_per_second == timed.speed.speed.pairs_per_second
    assert (timed.origin, timed.made_of) == (untimed.origin, untimed.made_of)


def test_a_folder_that_cannot_be_written_is_told_and_the_run_goes_on(finished: World, tmkd: Call) -> None:
    results = finished.recipe.parent / "results"
    shutil.rmtree(results)
    results.write_bytes(b"")
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0
    assert f"warning: a fragment is missing: {results / 'tiny'}" in said.err


@pytest.mark.slow
def test_another_machine_imports_the_teachers_and_both_are_joined(
    finished_world: World, world: World, tmkd: Call, tmp_path: Path
) -> None:
    for name in ("t1", "t2"):
        path = results_folder(tiny.opened(finished_world).folder) / "teachers" / f"{name}.npz"
        tiny.change(world.recipe, f"teachers.{name}", {"task": "toy", "file": str(path)})
    for row in ("1avg-o-1", "m-o-m", "tkd"):
        tiny.change(world.recipe, f"rows.{row}", None)
    said = tmkd("run", world.recipe, "--runs", world.runs, "--set", "seeds=[2]")
    assert said.code == 0, said.err
    assert not [step for step in steps_made(said) if step.startswith("evaluate/toy/teacher")]
    there = {path.name for path in (results_folder(tiny.opened(world).folder) / "rows").iterdir()}
    assert there == {
        "toy.yardstick.bm25.2.npz", "toy.yardstick.cosine-bert.2.npz",
        *(f"toy.student.{row}.2.npz" for row in ("bert-3", "1-o-1", "mkd", "tmkd")),
    }  # fmt: skip
    folders = [results_folder(tiny.opened(one).folder) for one in (finished_world, world)]
    joined = tmkd("report", *folders, "--out", tmp_path / "joined")
    assert joined.code == 0, joined.err
    report = read_report(tmp_path / "joined" / "report.json")
    assert report.seeds == (1, 2)
    seeds = {row: [one.seed for one in report.results if one.row == row] for row in ("tmkd", "tkd", "t1", "bm25")}
    assert seeds == {"tmkd": [1, 2], "tkd": [1], "t1": [1], "bm25": [1]}
    assert [(one.seeds, one.other_seeds) for one in report.comparisons if (one.row, one.other) == ("tmkd", "bert-3")]
    assert "tmkd" in joined.out
    assert joined.err.splitlines()[-1] == str(tmp_path / "joined" / "report.html")
    tiny.change(world.recipe, "student.layers", 2)
    assert tmkd("run", world.recipe, "--runs", world.runs, "--set", "seeds=[2]").code == 0
    refused = tmkd("report", *folders)
    assert refused.code == 1
    assert "do not go together: the recipe's student differs" in refused.err


def test_a_part_of_the_run_leaves_a_teachers_fragment_whole(finished: World) -> None:
    whole = tiny.opened(finished)
    run = RunFolder(whole.asked, whole.recipe_base, whole.folder, select(whole.asked, ["mkd"], []))
    path = results_folder(run.folder) / "teachers" / "t1.npz"
    before = path.read_bytes()
    scored = [run.soft_folder(f"toy/{split}", "t1") for split in ("dev", "train")]
    for folder in scored:
        FragmentWriter(run).add(folder)
    assert path.read_bytes() == before
    path.unlink()
    writer = FragmentWriter(run)
    for folder in scored:
        writer.add(folder)
    _, arrays = read_fragment(path)
    assert {*arrays} == {"toy/dev", "toy/train", "web"}  # what an earlier part scored is in the run folder
