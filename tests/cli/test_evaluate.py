"""The verb evaluate with a new file: what it prints and writes, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finished_steps import snapshot, states
from tiny import Call, World, new_file
from tmkd.report.report_json import read_report


def test_nothing_of_the_run_changes(finished: World, tmkd: Call, tmp_path: Path) -> None:
    before, known = snapshot(finished.run), states(tmkd, finished)
    said = tmkd("evaluate", finished.recipe, "--runs", finished.runs, "--file", new_file(tmp_path / "new.tsv"))
    assert said.code == 0, said.err
    assert snapshot(finished.run) == before
    assert states(tmkd, finished) == known


def test_columns_are_those_of_recipes_and_the_report_goes_where_it_is_told(
    finished: World, tmkd: Call, tmp_path: Path
) -> None:
    file = new_file(tmp_path / "new.tsv", ("ask", "text", "label"))
    source = f"{{file: {file}, columns: {{question: ask, passage: text}}}}"
    out = tmp_path / "new" / "report"
    words = ("evaluate", finished.recipe, "--runs", finished.runs, "--file", source, "--out", out, "--json")
    said = tmkd(*words)
    assert said.code == 0, said.err
    assert json.loads(said.out) == json.loads((out / "report.json").read_text())
    assert {path.name for path in out.iterdir()} == {"report.json", "report.html", "report.md"}
    assert read_report(out / "report.json").overlaps[0].of == 8
    again = tmkd(*words)
    assert again.code == 2
    assert f"--out: {out} is there already; name a new or an empty folder" in again.err


def test_the_same_tables_are_printed_and_the_overlaps_below(finished: World, tmkd: Call, tmp_path: Path) -> None:
    said = tmkd("evaluate", finished.recipe, "--runs", finished.runs, "--file", new_file(tmp_path / "new.tsv"))
    first = [line.split()[0] for line in said.out.splitlines()[1:4]]
    assert first == ["bm25", "cosine", "t1"]
    assert "tmkd − bert-3" in said.out
    assert "overlap with toy/train: of 8 pairs, 2 are there" in said.err


@pytest.mark.parametrize("option", ["--task", "--out"])
def test_options_of_a_new_file_need_one(world: World, tmkd: Call, option: str) -> None:
    said = tmkd("evaluate", world.recipe, "--runs", world.runs, option, "new")
    assert (said.code, said.out) == (2, "")
    assert "--task and --out go with --file" in said.err


def test_a_faulty_source_is_refused_before_anything_is_read(world: World, tmkd: Call) -> None:
    said = tmkd("evaluate", world.recipe, "--runs", world.runs, "--file", "{fil: new.tsv}")
    assert said.code == 2
    assert "--file: unknown key 'fil'; did you mean 'file'?" in said.err


def test_a_run_that_was_never_made_is_refused(world: World, tmkd: Call) -> None:
    said = tmkd("evaluate", world.recipe, "--runs", world.runs, "--file", new_file(world.data / "new.tsv"))
    assert said.code == 1
    assert f"collect/toy is missing; finish the run first: tmkd run {world.recipe}" in said.err
    assert not world.run.exists()
