"""What accuracy costs in speed: bundles of several rows, measured side by side, and what a latency budget picks."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tmkd.bundle.format import GRAPHS, REPORT, Precision, read_bundle
from tmkd.bundle.ranker import Ranker

PASSAGES = 10  # of one question: what the paper's second pipeline ranks while somebody waits
WARM_UP = 20  # rankings not counted
RANKINGS = 200  # so that the 99th percentile is not one call alone

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """One row in one precision: accuracy of 1 on the task's first test set, pairs/s, milliseconds to rank ten passages.

    `bytes` is the graph's file; `faults` says what an int8 graph loses beyond its limits.
    """

    row: str
    precision: Precision
    accuracy: float | None
    pairs_per_second: float
    p50_ms: float
    p99_ms: float
    bytes: int
    faults: tuple[str, ...] = ()


def measure_points(bundles: Mapping[str, Path], pairs: Pairs, repeats: int) -> list[FrontierPoint]:
    """Every bundle (by row) in every precision it has, on the same (question, passage) pairs, in turns."""
    rankers = {
        (row, precision): Ranker(folder, precision)
        for row, folder in bundles.items()
        for precision in read_bundle(folder).precisions
    }
    taken: dict[tuple[str, Precision], list[float]] = {key: [] for key in rankers}
    for turn in range(repeats + 1):
        for key, ranker in rankers.items():
            seconds = _seconds(ranker, pairs)
            if turn:  # the first one warms up
                taken[key].append(seconds)
    return [_point(row, precision, rankers[row, precision], pairs, took) for (row, precision), took in taken.items()]


def _point(row: str, precision: Precision, ranker: Ranker, pairs: Pairs, taken: Sequence[float]) -> FrontierPoint:
    report: dict[str, Any] = json.loads((ranker.folder / REPORT).read_bytes())
    half, rarest = np.percentile(_latencies(ranker, pairs), (50, 99))
    return FrontierPoint(
        row=row,
        precision=precision,
        accuracy=report["kernel" if ranker.engine == "kernel" else precision][0]["accuracy_after"],
        pairs_per_second=len(pairs) / float(np.median(taken)),
        p50_ms=float(half),
        p99_ms=float(rarest),
        bytes=(ranker.folder / GRAPHS[precision]).stat().st_size,
        faults=tuple(report["faults"][ranker.engine]) if precision == "int8" else (),
    )


def _seconds(ranker: Ranker, pairs: Pairs) -> float:
    begun = time.perf_counter()
    ranker.predict_proba(pairs)
    return time.perf_counter() - begun


def _latencies(ranker: Ranker, pairs: Pairs) -> list[float]:
    """Milliseconds of rankings, each of one question with ten passages, text in to ranked list out."""
    taken = []
    for number in range(WARM_UP + RANKINGS):
        places = [(number * PASSAGES + place) % len(pairs) for place in range(PASSAGES)]
        passages = [pairs[place][1] for place in places]
        begun = time.perf_counter()
        ranker.rank(pairs[places[0]][0], passages)
        taken.append(1e3 * (time.perf_counter() - begun))
    return taken[WARM_UP:]


def pick(points: Sequence[FrontierPoint], budget_ms: float | None) -> FrontierPoint | None:
    """The most accurate point whose p99 is within the budget, of equals the fastest; None when there is none.

    An int8 graph that fails its check is not picked.
    """
    if budget_ms is None:
        return None
    fitting = [point for point in points if point.p99_ms <= budget_ms and not point.faults]
    return max(fitting, key=lambda point: (point.accuracy or 0.0, point.pairs_per_second), default=None)


def on_the_frontier(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """The points that no other one beats in both accuracy and pairs/s, the slowest first."""
    kept: list[FrontierPoint] = []
    for point in sorted(points, key=lambda point: (-point.pairs_per_second, -(point.accuracy or 0.0))):
        if not kept or (point.accuracy or 0.0) > (kept[-1].accuracy or 0.0):
            kept.append(point)
    return kept[::-1]


def frontier_json(points: Sequence[FrontierPoint], budget_ms: float | None, machine: str) -> bytes:
    """frontier.json: the points, the budget, and which of them it picks."""
    picked = pick(points, budget_ms)
    told = [{**asdict(point), "picked": point == picked} for point in points]
    return (json.dumps({"machine": machine, "budget_ms": budget_ms, "points": told}, indent=1) + "\n").encode()


def read_points(path: Path) -> tuple[list[FrontierPoint], float | None]:
    """The points and the budget that a frontier.json holds."""
    told = json.loads(path.read_bytes())
    names = FrontierPoint.__slots__
    points = [
        FrontierPoint(**{name: one[name] for name in names} | {"faults": tuple(one["faults"])})
        for one in told["points"]
    ]
    return points, told["budget_ms"]
