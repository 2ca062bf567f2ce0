"""The accuracy-speed frontier: bundles of several rows measured side by side, and the pick of a latency budget."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from tmkd.bundle.format import GRAPHS, REPORT, Int8Engine, Precision, read_bundle
from tmkd.bundle.ranker import Ranker
from tmkd.evaluate.speed import in_turns, wall_time
from tmkd.store import json_bytes

PASSAGES = 10  # of one question; a latency is the time to rank them
WARM_UP = 20  # rankings not counted
RANKINGS = 200  # enough that the 99th percentile does not depend on a single call

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """One row in one precision: accuracy in [0, 1] on the task's first test set, pairs/s, latency of ten passages (ms).

    `bytes` is the size of the graph's file; `faults` are the limits that an int8 graph exceeds, in words; `dev` is the
    accuracy of the row's student on dev, by which the budget's point is picked.
    """

    row: str
    precision: Precision
    accuracy: float | None
    pairs_per_second: float
    p50_ms: float
    p99_ms: float
    bytes: int
    faults: tuple[str, ...] = ()
    dev: float | None = None


def measure_points(
    bundles: Mapping[str, Path], pairs: Pairs, repeats: int, dev: Mapping[str, float | None]
) -> list[FrontierPoint]:
    """Measure every bundle (by row) in each of its precisions on the same (question, passage) pairs, in turns.

    `dev` has the accuracy of each row's student on dev.
    """
    rankers = {
        (row, precision): Ranker(folder, precision)
        for row, folder in bundles.items()
        for precision in read_bundle(folder).precisions
    }
    for ranker in rankers.values():  # the warm-up
        ranker.predict_proba(pairs)
    times = in_turns({key: partial(ranker.predict_proba, pairs) for key, ranker in rankers.items()}, repeats)
    return [replace(_point(*key, ranker, pairs, times[key]), dev=dev.get(key[0])) for key, ranker in rankers.items()]


def _point(row: str, precision: Precision, ranker: Ranker, pairs: Pairs, times: Sequence[float]) -> FrontierPoint:
    report = json.loads((ranker.folder / REPORT).read_bytes())
    measures, faults = report["fp32"], []
    if ranker.width is not None:
        engine = str(Int8Engine(ranker.engine, ranker.width))
        measures, faults = report["int8"][engine], report["faults"][engine]
    p50, p99 = np.percentile(_latencies(ranker, pairs), (50, 99))
    return FrontierPoint(
        row=row,
        precision=precision,
        accuracy=measures[0]["accuracy_after"],
        pairs_per_second=len(pairs) / float(np.median(times)),
        p50_ms=float(p50),
        p99_ms=float(p99),
        bytes=(ranker.folder / GRAPHS[precision]).stat().st_size,
        faults=tuple(faults),
    )


def _latencies(ranker: Ranker, pairs: Pairs) -> list[float]:
    """Milliseconds of each ranking of one question's ten passages, from text to sorted list."""
    times = []
    for number in range(WARM_UP + RANKINGS):
        places = [(number * PASSAGES + place) % len(pairs) for place in range(PASSAGES)]
        passages = [pairs[place][1] for place in places]
        times.append(1e3 * wall_time(partial(ranker.rank, pairs[places[0]][0], passages)))
    return times[WARM_UP:]


def pick(points: Sequence[FrontierPoint], budget_ms: float | None) -> FrontierPoint | None:
    """The best point by dev whose p99 is within the budget, the fastest of equals; None without one.

    An int8 graph that fails its check is never picked.
    """
    if budget_ms is None:
        return None
    fitting = [point for point in points if point.p99_ms <= budget_ms and not point.faults]
    return max(fitting, key=lambda point: (point.dev or 0.0, point.pairs_per_second), default=None)


def on_the_frontier(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """The points that no other point beats in both accuracy and pairs/s (Pareto front), the slowest first."""
    kept: list[FrontierPoint] = []
    for point in sorted(points, key=lambda point: (-point.pairs_per_second, -(point.accuracy or 0.0))):
        if not kept or (point.accuracy or 0.0) > (kept[-1].accuracy or 0.0):
            kept.append(point)
    return kept[::-1]


def frontier_json(points: Sequence[FrontierPoint], budget_ms: float | None, machine: str) -> bytes:
    """The content of frontier.json: the machine, the budget, the points with `picked` true or false."""
    picked = pick(points, budget_ms)
    rows = [{**asdict(point), "picked": point == picked} for point in points]
    return json_bytes({"machine": machine, "budget_ms": budget_ms, "points": rows})


def read_points(path: Path) -> tuple[list[FrontierPoint], float | None]:
    """Read the points and the budget of a frontier.json."""
    content = json.loads(path.read_bytes())
    points = []
    for row in content["points"]:
        values = {name: row[name] for name in FrontierPoint.__slots__}
        points.append(FrontierPoint(**values | {"faults": tuple(row["faults"])}))
    return points, content["budget_ms"]
