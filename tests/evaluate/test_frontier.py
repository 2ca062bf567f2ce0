"""Bundles of several rows compared: the numbers and the pick, on made-up points and on the tiny world."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from tiny import Call, World
from tiny_bundle import PAIRS
from tmkd.bundle import Ranker
from tmkd.evaluate import frontier as measured
from tmkd.evaluate.frontier import FrontierPoint, frontier_json, measure_points, on_the_frontier, pick, read_points


def point(row: str, accuracy: float, speed: float, p99: float, **more: Any) -> FrontierPoint:
    return FrontierPoint(row, more.pop("precision", "int8"), accuracy, speed, 0.8 * p99, p99, 1_000_000, **more)


THREE = point("tmkd", 0.70, 1300, 11.0)
SLOW = point("tmkd", 0.70, 400, 30.0, precision="fp32")
TWO = point("thin", 0.68, 2400, 6.0)
ONE = point("flat", 0.61, 5000, 2.0)
WRONG = point("odd", 0.69, 2500, 5.0, faults=("test: 1.20 points of accuracy lost, more than 0.3",))
POINTS = [SLOW, THREE, TWO, ONE, WRONG]


@pytest.mark.parametrize(
    ("budget_ms", "picked"), [(None, None), (1.0, None), (2.0, ONE), (10.0, TWO), (11.0, THREE), (99.0, THREE)]
)
def test_the_most_accurate_point_within_the_budget_is_picked_and_never_one_that_fails(
    budget_ms: float | None, picked: FrontierPoint | None
) -> None:
    assert pick(POINTS, budget_ms) == picked


def test_a_point_that_another_beats_in_both_is_not_on_the_frontier() -> None:
    assert on_the_frontier([SLOW, THREE, TWO, ONE]) == [THREE, TWO, ONE]
    assert on_the_frontier([]) == []


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "frontier.json").write_bytes(frontier_json(POINTS, 10.0, "a machine"))
    assert read_points(tmp_path / "frontier.json") == (POINTS, 10.0)
    told = json.loads((tmp_path / "frontier.json").read_text())
    assert [one["row"] for one in told["points"] if one["picked"]] == ["thin"]


def test_bundles_are_measured_in_each_precision(made: tuple[Path, Path]) -> None:
    points = measure_points({"it": made[1]}, PAIRS, repeats=2)
    assert [(one.row, one.precision) for one in points] == [("it", "fp32"), ("it", "int8")]
    for one in points:
        assert one.pairs_per_second > 0
        assert 0 < one.p50_ms <= one.p99_ms
        assert one.bytes == (made[1] / ("model.onnx" if one.precision == "fp32" else "model.int8.onnx")).stat().st_size
        report = json.loads((made[1] / "parity.json").read_text())
        assert one.accuracy == report[one.precision][0]["accuracy_after"]
    assert points[0].faults == ()


def test_a_points_accuracy_and_faults_are_those_of_the_engine_that_serves(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ByKernel(Ranker):
        def __init__(self, *told: Any) -> None:
            super().__init__(*told)
            self.engine = "kernel" if self.precision == "int8" else self.engine

    bundle = tmp_path / "bundle"
    shutil.copytree(made[1], bundle)
    report = json.loads((bundle / "parity.json").read_text())
    report["kernel"] = [report["int8"][0] | {"accuracy_after": 0.123}]
    report["faults"] = {"onnxruntime": ["too far"], "kernel": []}
    (bundle / "parity.json").write_text(json.dumps(report))
    told = report["fp32"][0]["accuracy_after"], report["int8"][0]["accuracy_after"]
    points = measure_points({"it": bundle}, PAIRS, 1)
    assert [(one.accuracy, one.faults) for one in points] == [(told[0], ()), (told[1], ("too far",))]
    monkeypatch.setattr(measured, "Ranker", ByKernel)
    points = measure_points({"it": bundle}, PAIRS, 1)
    assert [(one.accuracy, one.faults) for one in points] == [(told[0], ()), (0.123, ())]


def test_smaller_students_are_trained_exported_and_compared(finished: World, tmkd: Call) -> None:
    small = {"student": {"ffn": 8, "vocabulary": 60}, "stages": [{"use": "pretrain"}, {"use": "finetune"}]}
    tiny.change(finished.recipe, "rows.small", small)
    export = {"row": "tmkd", "frontier": ["tmkd", "small"], "budget_ms": 10_000.0, "checks": {"more": "dev.tsv"}}
    tiny.change(finished.recipe, "export", export)
    said = tmkd("distill", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    assert "3 steps done now" in said.err  # a narrowed start and two stages
    said = tmkd("frontier", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    assert "10 passages ranked within 10000 ms" in said.out
    assert (finished.run / "frontier" / "frontier.html").is_file()
    report = json.loads((finished.run / "bundles" / "small" / "parity.json").read_text())
    assert [one["set"] for one in report["int8"]] == ["test", "more"]
    told = json.loads(tmkd("frontier", finished.recipe, "--runs", finished.runs, "--json").out)
    assert [(one["row"], one["precision"]) for one in told["points"]] == [
        ("tmkd", "fp32"), ("tmkd", "int8"), ("small", "fp32"), ("small", "int8")
    ]  # fmt: skip
    sizes = {one["row"]: one["bytes"] for one in told["points"] if one["precision"] == "fp32"}
    assert sizes["small"] < sizes["tmkd"]


def test_a_recipe_that_compares_nothing_or_an_unknown_row_says_so(finished: World, tmkd: Call) -> None:
    said = tmkd("frontier", finished.recipe, "--runs", finished.runs)
    assert said.code == 2
    assert "names no rows to compare" in said.err
    tiny.change(finished.recipe, "export", {"row": "tmkd", "frontier": ["m-o-m"]})
    said = tmkd("frontier", finished.recipe, "--runs", finished.runs)
    assert said.code == 2
    assert "export.frontier: no row of one student is called 'm-o-m'" in said.err
