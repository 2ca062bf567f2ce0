"""frontier.html: accuracy against pairs/s of every bundle, the frontier drawn, the budget's pick marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tmkd.evaluate.frontier import PASSAGES, FrontierPoint, on_the_frontier, pick
from tmkd.report.figures import INK, KIND_COLOURS, MUTED, drawing, speed_axis, svg
from tmkd.report.formatting import megabytes, percent, rate
from tmkd.report.html import write_page

COLUMNS = ("row", "graph", "dev", "accuracy", "pairs/s", "p50 ms", "p99 ms", "bytes")


def cells(point: FrontierPoint) -> list[str]:
    """A point's cells in the order of COLUMNS."""
    shares = ["–" if share is None else percent(share) for share in (point.dev, point.accuracy)]
    times = [f"{milliseconds:.1f}" for milliseconds in (point.p50_ms, point.p99_ms)]
    return [point.row, point.precision, *shares, rate(point.pairs_per_second), *times, megabytes(point.bytes)]


def budget_sentence(points: Sequence[FrontierPoint], budget_ms: float | None) -> str:
    """The pick of the latency budget in a sentence; empty without a budget."""
    if budget_ms is None:
        return ""
    picked = pick(points, budget_ms)
    asked = f"{PASSAGES} passages ranked within {budget_ms:g} ms in 99 of 100 cases"
    if picked is None:
        return f"{asked}: no bundle that passes its check is so fast; add rows of smaller students"
    return f"{asked}: {picked.row} in {picked.precision}"


def write_frontier_html(
    path: Path, name: str, points: Sequence[FrontierPoint], budget_ms: float | None, date: str, machine: str
) -> None:
    """Write the page: the table, the faults of graphs that fail their check, the plot.

    Raises: TmkdError when matplotlib is missing.
    """
    picked = pick(points, budget_ms)
    failing = [f"{point.row}: {'; '.join(point.faults)}" for point in points if point.faults]
    write_page(
        path,
        "frontier.html",
        title=f"{name}: frontier",
        command="tmkd frontier",
        name=name,
        facts=[("Date", date), ("Machine", machine)],
        columns=COLUMNS,
        rows=[{"cells": cells(point), "picked": point == picked} for point in points],
        caption=" · ".join(filter(None, [budget_sentence(points, budget_ms), *failing])),
        drawing=frontier_figure(points, budget_ms),
    )


def frontier_figure(points: Sequence[FrontierPoint], budget_ms: float | None) -> str:
    """Accuracy (%) against pairs/s (logarithmic) as SVG text: full int8, hollow fp32, a ring around the pick."""
    colour, picked = KIND_COLOURS["student"], pick(points, budget_ms)
    shown = [point for point in points if point.accuracy is not None]
    with drawing(3.9) as (figure, axes):
        line = on_the_frontier(shown)
        axes.plot([one.pairs_per_second for one in line], [_accuracy(one) for one in line], "-", color=MUTED, lw=1)
        for point in shown:
            at = point.pairs_per_second, _accuracy(point)
            if point == picked:
                axes.plot(*at, "o", ms=16, fillstyle="none", color=INK)
            axes.plot(*at, "o", ms=8, color=colour, fillstyle="full" if point.precision == "int8" else "none")
            failing = " (fails)" if point.faults else ""
            name = f"{point.row} {point.precision}{failing}"
            bold = "bold" if point == picked else "normal"
            above = 7 if point.precision == "int8" else -13  # two graphs of one row often lie close together
            axes.annotate(name, at, xytext=(7, above), textcoords="offset points", weight=bold)
        speed_axis(axes, [point.pairs_per_second for point in shown])
        axes.margins(x=0.25, y=0.2)
        axes.grid()
        axes.set_ylabel("accuracy (%)")
        return svg(figure, "frontier", "Accuracy against speed of every bundle")


def _accuracy(point: FrontierPoint) -> float:
    return 100 * (point.accuracy or 0.0)
