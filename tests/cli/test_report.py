from __future__ import annotations

import json
from pathlib import Path

from row_fragments import row_fragment, written
from tiny import Call


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
