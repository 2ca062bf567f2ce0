from __future__ import annotations

import json
from pathlib import Path

import tiny
from row_fragments import row_fragment, written
from tiny import Call, World
from tmkd.report.shapes import Shapes, ShapeSpeed, shapes_json

SHAPES = Shapes(
    "one machine", "cpu", "fp32", "2026-11-28", "c0ffee", 64, 32, 5, (ShapeSpeed("BERT-base", 109_483_778, 40.0, 60.0),)
)


def test_the_report_is_written_where_it_is_asked_for_or_beside_the_fragments(tmp_path: Path, tmkd: Call) -> None:
    for seed in (1, 2):
        written(tmp_path / "results", row_fragment(seed=seed))
    said = tmkd("report", tmp_path / "results")
    assert said.code == 0, said.err
    assert "tmkd" in said.out
    assert said.err.splitlines()[-1] == str(tmp_path / "results" / "report.html")
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "rows",
        "report.json",
        "report.html",
        "report.md",
    }
    assert tmkd("report", tmp_path / "results", "--out", tmp_path / "a" / "b").code == 0
    assert (tmp_path / "a" / "b" / "report.html").is_file()


def test_json_is_the_report_file(tmp_path: Path, tmkd: Call) -> None:
    written(tmp_path, row_fragment())
    said = tmkd("report", tmp_path, "--json")
    assert json.loads(said.out) == json.loads((tmp_path / "report.json").read_text())


def test_a_folder_without_fragments_is_an_error(tmp_path: Path, tmkd: Call) -> None:
    said = tmkd("report", tmp_path)
    assert said.code == 1
    assert f"error: {tmp_path}: no fragments here" in said.err


def test_the_papers_page_lies_where_it_is_asked_for_or_beside_the_fragments(tmp_path: Path, tmkd: Call) -> None:
    written(tmp_path / "results", row_fragment())
    said = tmkd("paper", tmp_path / "results")
    assert said.code == 0, said.err
    assert said.err.splitlines()[-1] == str(tmp_path / "results" / "paper.html")
    assert tmkd("paper", tmp_path / "results", "--out", tmp_path / "a" / "b").code == 0
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"paper.html", "paper.md"}


def test_a_page_with_texts_lies_in_the_run_and_never_beside_fragments(
    finished: World, tmp_path: Path, tmkd: Call
) -> None:
    run = tiny.opened(finished).folder
    results = run.parent.parent / "results" / run.name
    said = tmkd("paper", results, run)
    assert said.code == 0, said.err
    assert (run / "paper.html").is_file()
    refused = tmkd("paper", run, "--out", results)
    assert refused.code == 2
    assert f"--out: {results} holds fragments to be committed, and the page has texts; name another" in refused.err
    assert not (results / "paper.html").exists()


def test_speeds_of_shapes_are_given_as_a_file(tmp_path: Path, tmkd: Call) -> None:
    written(tmp_path, row_fragment())
    (tmp_path / "shapes.json").write_text("{}")
    said = tmkd("paper", tmp_path, "--shapes", tmp_path / "shapes.json")
    assert said.code == 1
    assert f"{tmp_path / 'shapes.json'}: not a file of benchmarks/shapes.py" in said.err
    (tmp_path / "shapes.json").write_bytes(shapes_json(SHAPES))
    assert tmkd("paper", tmp_path, "--shapes", tmp_path / "shapes.json").code == 0
    assert "109.48 M" in (tmp_path / "paper.md").read_text(encoding="utf-8")
