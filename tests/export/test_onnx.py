"""`tmkd export` and `tmkd rank` on the tiny world, and what export does not ship."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from tiny import Call, World
from tiny_bundle import PAIRS, checks
from tmkd.bundle import Ranker
from tmkd.errors import TmkdError
from tmkd.export import onnx as export
from tmkd.network import Student


def give(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    class Stdin:
        buffer = io.BytesIO(content)

    monkeypatch.setattr(sys, "stdin", Stdin)


def test_a_finished_run_is_exported_ranked_with_and_not_exported_twice(
    finished: World, tmkd: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.change(finished.recipe, "export", {"row": "tmkd", "force": True, "compat": True})
    said = tmkd("export", finished.recipe, "--runs", finished.runs)
    assert (said.code, said.out.strip()) == (0, str(finished.run / "bundle")), said.err
    assert {path.name for path in (finished.run / "bundle").iterdir()} == {
        "README.md", "bundle.json", "manifest.json", "model.int8.onnx", "model.onnx", "parity.json", "tokenizer.json"
    }  # fmt: skip
    assert json.loads((finished.run / "compat" / "config.json").read_text())["architectures"] == [
        "BertForSequenceClassification"
    ]
    report = json.loads((finished.run / "bundle" / "parity.json").read_text())
    assert [one["set"] for one in report["fp32"]] == ["test"]
    assert report["fp32"][0]["max_difference"] < 1e-4
    assert "same first passage" in (finished.run / "bundle" / "README.md").read_text()
    again = tmkd("export", finished.recipe, "--runs", finished.runs)
    assert "0 steps done now, 2 were done already" in again.err

    passages = [tiny.passage(topic, good) for topic in (24, 25) for good in (True, False)]
    give(monkeypatch, "\n\n".join(passages).encode() + b"\n")
    ranked = tmkd("rank", finished.run / "bundle", "--question", tiny.question(24), "--top", 2, "--json")
    told = json.loads(ranked.out)
    expected = Ranker(finished.run / "bundle").rank(tiny.question(24), passages, 2)
    assert [one["line"] for one in told] == [2 * one["corpus_id"] + 1 for one in expected]  # blank lines count
    give(monkeypatch, passages[0].encode())
    shown = tmkd("rank", finished.run / "bundle", "--question", tiny.question(24))
    assert shown.out.startswith("0.")
    assert passages[0] in shown.out


@pytest.mark.parametrize(
    ("lines", "question", "told"),
    [
        (b"", "why", "no passage"),
        (b"\n \n", "why", "no passage"),
        (b"good\n\xff\n", "why", "line 2 is not UTF-8"),
        (b"good", " ", "--question is empty"),
    ],
)
def test_rank_tells_what_it_cannot_read(
    tmkd: Call, monkeypatch: pytest.MonkeyPatch, lines: bytes, question: str, told: str
) -> None:
    give(monkeypatch, lines)
    said = tmkd("rank", "nowhere", "--question", question)
    assert said.code == 2
    assert told in said.err


def test_rank_without_a_bundle_says_how_to_make_one(
    tmkd: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(monkeypatch, b"moon")
    said = tmkd("rank", tmp_path, "--question", "why")
    assert (said.code, "not a bundle" in said.err, "tmkd export" in said.err) == (1, True, True)


def test_a_recipe_that_exports_nothing_is_told_what_to_add(world: World, tmkd: Call) -> None:
    said = tmkd("export", world.recipe, "--runs", world.runs)
    assert said.code == 2
    assert "export: {row: tmkd}" in said.err


def test_a_row_of_several_students_is_not_exported(world: World, tmkd: Call) -> None:
    tiny.change(world.recipe, "export", {"row": "m-o-m"})
    said = tmkd("check", world.recipe, "--runs", world.runs)
    assert said.code == 2
    assert "no row of one student is called 'm-o-m'; there is bert-3" in said.err


def losing(report: dict[str, Any]) -> list[str]:
    return ["test: 9.00 points of accuracy lost"]


def test_an_int8_graph_that_loses_too_much_is_shipped_only_on_demand(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "int8_faults", losing)
    report = export.export_bundle(made[0], PAIRS, [checks()], tmp_path)
    assert report["faults"]["onnxruntime"] == ["test: 9.00 points of accuracy lost"]
    assert read_bundle_json(tmp_path)["precisions"] == ["fp32"]
    assert not (tmp_path / "model.int8.onnx").exists()
    card = (tmp_path / "README.md").read_text()
    assert "computed by onnxruntime is beyond its limits** (left out): test: 9.00 points" in card
    assert "`model.onnx` (fp32) takes input_ids" in card
    export.export_bundle(made[0], PAIRS, [checks()], tmp_path, force=True)
    assert read_bundle_json(tmp_path)["precisions"] == ["fp32", "int8"]
    assert read_bundle_json(tmp_path)["int8_engines"] == ["onnxruntime"]
    assert "is beyond its limits** (served all the same)" in (tmp_path / "README.md").read_text()


def read_bundle_json(folder: Path) -> Any:
    return json.loads((folder / "bundle.json").read_text())


def test_a_graph_that_is_not_the_student_is_never_shipped(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Student.predict_proba
    monkeypatch.setattr(Student, "predict_proba", lambda self, pairs: np.flip(own(self, pairs), axis=1))
    with pytest.raises(TmkdError, match="the ONNX graph is not the student"):
        export.export_bundle(made[0], PAIRS, [checks()], tmp_path, force=True)


def test_an_export_needs_pairs_to_round_by_and_to_check_with(made: tuple[Path, Path], tmp_path: Path) -> None:
    for pairs, sets in ((PAIRS, []), ([], [checks()])):
        with pytest.raises(TmkdError, match="an export needs pairs"):
            export.export_bundle(made[0], pairs, sets, tmp_path)
