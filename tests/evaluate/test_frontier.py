"""Bundles of several rows compared: the numbers and the pick, on made-up points and on the tiny world."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tiny_bundle import PAIRS
from tmkd.bundle import Ranker
from tmkd.evaluate import frontier as measured
from tmkd.evaluate.frontier import FrontierPoint, frontier_json, measure_points, on_the_frontier, pick, read_points


def point(row: str, dev: float, speed: float, p99: float, **more: Any) -> FrontierPoint:
    accuracy = more.pop("accuracy", dev)
    return FrontierPoint(
        row, more.pop("precision", "int8"), accuracy, speed, 0.8 * p99, p99, 1_000_000, dev=dev, **more
    )


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


def test_the_pick_goes_by_dev_and_not_by_the_test_set() -> None:
    lucky = point("lucky", 0.60, 2400, 6.0, accuracy=0.99)
    assert pick([*POINTS, lucky], 10.0) == TWO


def test_a_point_that_another_beats_in_both_is_not_on_the_frontier() -> None:
    assert on_the_frontier([SLOW, THREE, TWO, ONE]) == [THREE, TWO, ONE]
    assert on_the_frontier([]) == []


def test_a_written_frontier_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "frontier.json").write_bytes(frontier_json(POINTS, 10.0, "a machine"))
    assert read_points(tmp_path / "frontier.json") == (POINTS, 10.0)
    told = json.loads((tmp_path / "frontier.json").read_text())
    assert [one["row"] for one in told["points"] if one["picked"]] == ["thin"]


def test_bundles_are_measured_in_each_precision(made: tuple[Path, Path]) -> None:
    points = measure_points({"it": made[1]}, PAIRS, 2, {"it": 0.75})
    assert [(one.row, one.precision) for one in points] == [("it", "fp32"), ("it", "int8")]
    for one in points:
        assert one.dev == 0.75
        assert one.pairs_per_second > 0
        assert 0 < one.p50_ms <= one.p99_ms
        assert one.bytes == (made[1] / ("model.onnx" if one.precision == "fp32" else "model.int8.onnx")).stat().st_size
        report = json.loads((made[1] / "parity.json").read_text())
        measures = report["fp32"] if one.precision == "fp32" else report["int8"]["onnxruntime, 1 byte"]
        assert one.accuracy == measures[0]["accuracy_after"]
    assert points[0].faults == ()


def test_a_points_accuracy_and_faults_are_those_of_the_engine_that_serves(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ByKernel(Ranker):
        def __init__(self, *told: Any) -> None:
            super().__init__(*told)
            self.engine, self.width = ("kernel", 2) if self.precision == "int8" else (self.engine, None)

    bundle = tmp_path / "bundle"
    shutil.copytree(made[1], bundle)
    report = json.loads((bundle / "parity.json").read_text())
    of_onnxruntime = report["int8"]["onnxruntime, 1 byte"][0]
    report["int8"]["kernel, 2 bytes"] = [of_onnxruntime | {"accuracy_after": 0.123}]
    report["faults"] = {"onnxruntime, 1 byte": ["too far"], "kernel, 2 bytes": []}
    (bundle / "parity.json").write_text(json.dumps(report))
    told = report["fp32"][0]["accuracy_after"], of_onnxruntime["accuracy_after"]
    points = measure_points({"it": bundle}, PAIRS, 1, {})
    assert [(one.accuracy, one.faults) for one in points] == [(told[0], ()), (told[1], ("too far",))]
    monkeypatch.setattr(measured, "Ranker", ByKernel)
    points = measure_points({"it": bundle}, PAIRS, 1, {})
    assert [(one.accuracy, one.faults) for one in points] == [(told[0], ()), (0.123, ())]
