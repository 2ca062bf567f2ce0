"""Plots as inline SVG: accuracy, speed, reliability; text stays text, colours follow the page's theme."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from tmkd.errors import optional_import
from tmkd.evaluate.results import Line, Result, distinct, lines
from tmkd.report.formatting import percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Each of these colours becomes a CSS variable in the SVG, so that a dark page gets light ink.
INK, MUTED, GRID = "#111827", "#6b7280", "#e5e7eb"
KIND_COLOURS = {
    "yardstick": "#57606a",
    "teacher": "#7c3aed",
    "ensemble": "#b45309",
    "student": "#0f766e",
    "bundle": "#1d4ed8",
}
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line"} | {
    colour: f"--{kind}" for kind, colour in KIND_COLOURS.items()
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tmkd",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 11,  # of a drawing 6.4 inches wide: to be read on a phone, too
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": GRID,
    "axes.axisbelow": True,
}
WIDTH = 6.4  # inches; the page scales the drawing to its column
_NAME_HEIGHT = 0.19  # inches between two names in a column
_BELOW = 0.8  # inches of a drawing that its axes do not take: ticks, label, margins


def accuracy_per_row(results: Sequence[Result]) -> str:
    """Accuracy (%) of each row on its task's first split, with the standard deviation over seeds, as SVG text."""
    found = lines(results)
    with drawing(0.9 + 0.34 * len(found)) as (figure, axes):
        for place, line in enumerate(found):
            mean, deviation = 100 * line.accuracy.mean, 100 * (line.accuracy.deviation or 0)
            axes.errorbar(
                mean, place, xerr=deviation or None, fmt="o", ms=9 if line.best else 7, capsize=3, **_ink_of(line)
            )
            axes.annotate(
                line.accuracy.show(percent),
                (mean + deviation, place),
                xytext=(9, 0),
                textcoords="offset points",
                va="center",
                weight="bold" if line.best else "normal",
            )
        axes.set_yticks(range(len(found)), _names(found))
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.margins(x=0.16)
        axes.grid(axis="y")
        axes.set_xlabel("accuracy (%)")
        return svg(figure, "rows", "Accuracy of each row")


def accuracy_against_speed(results: Sequence[Result], name: str = "speed") -> str:
    """Accuracy (%) against speed (pairs/s, logarithmic) of each row, as SVG text, with its names in a column.

    Rows without a measured speed are left out. `name` begins the drawing's ids.
    """
    found = [line for line in lines(results) if line.pairs_per_second]
    names = dict(zip(found, _names(found), strict=True))
    height = max(3.9, 1 + _NAME_HEIGHT * len(found))
    with drawing(height) as (figure, axes):
        for line in found:
            speed = line.pairs_per_second or 0.0
            axes.plot(speed, 100 * line.accuracy.mean, "o", ms=10 if line.best else 8, **_ink_of(line))
        speed_axis(axes, [line.pairs_per_second or 0.0 for line in found])
        axes.margins(x=0.05, y=0.05)
        axes.grid()
        axes.set_ylabel("accuracy (%)")
        _name_points(axes, names, _NAME_HEIGHT / (height - _BELOW))
        return svg(figure, name, "Accuracy against speed")


def speed_axis(axes: Axes, speeds: Sequence[float]) -> None:
    """Make the x axis one of pairs/s: logarithmic, with round numbers about these speeds."""
    low, high = min(speeds, default=1) / 2, 2 * max(speeds, default=1)
    steps = (1, 2, 5) if high < 1000 * low else (1,)
    ticks = [place for power in range(8) for step in steps if low <= (place := step * 10**power) <= high]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("pairs per second")


def reliability_of(results: Sequence[Result], name: str) -> str:
    """Reliability of one row over its seeds, as SVG text: share right against mean confidence, bin by bin.

    A larger point is more pairs; on the dashed line confidence and share are equal. `name` begins the drawing's ids.
    """
    with drawing(3.6, 3.6) as (figure, axes):
        axes.plot([0, 1], [0, 1], "--", color=MUTED, lw=1)
        for result in results:
            pairs = sum(one.pairs for one in result.reliability)
            at = [one.confidence for one in result.reliability], [one.accuracy for one in result.reliability]
            axes.plot(*at, "-", color=KIND_COLOURS[result.kind], lw=1)
            sizes = [4 + 120 * one.pairs / pairs for one in result.reliability]
            axes.scatter(*at, s=sizes, color=KIND_COLOURS[result.kind])
        axes.set_xlim(0, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.grid()
        axes.set_xlabel("confidence")
        axes.set_ylabel("share right")
        return svg(figure, name, f"Reliability of {results[0].row}")


def _name_points(axes: Axes, names: Mapping[Line, str], apart: float) -> None:
    """Write the names right of the axes, a line from each to its point; `apart` is a share of the axes' height."""
    low, high = axes.get_ylim()
    named = sorted(names, key=lambda line: (line.accuracy.mean, line.pairs_per_second or 0.0))
    heights = spread([(100 * line.accuracy.mean - low) / (high - low) for line in named], apart)
    for line, height in zip(named, heights, strict=True):
        axes.annotate(
            names[line],
            (line.pairs_per_second or 0.0, 100 * line.accuracy.mean),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            weight="bold" if line.best else "normal",
            arrowprops={
                "arrowstyle": "-",
                "color": KIND_COLOURS[line.kind],
                "lw": 0.5,
                "relpos": (0, 0.5),
                "shrinkB": 4,
            },
            annotation_clip=False,
        )


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Ascending places in [0, 1], moved up and then down where two were less than `apart` from each other.

    Where 1 has no room for all, the first ones go below 0.
    """
    up: list[float] = []
    for place in places:
        up.append(max(place, up[-1] + apart) if up else place)
    down: list[float] = []
    for place in reversed(up):
        down.append(min(place, down[-1] - apart) if down else min(place, 1.0))
    return down[::-1]


def _names(found: Sequence[Line]) -> list[str]:
    several = len(distinct(line.task for line in found)) > 1
    return [f"{line.task}: {line.row}" if several else line.row for line in found]


def _ink_of(line: Line) -> dict[str, Any]:
    colour = KIND_COLOURS[line.kind]
    return {
        "color": colour,
        "markeredgecolor": INK if line.best else colour,
        "markeredgewidth": 1.5 if line.best else 1,
    }


@contextmanager
def drawing(height: float, width: float = WIDTH) -> Iterator[tuple[Figure, Axes]]:
    """A figure (inches) in the style of our plots; matplotlib's global state is unchanged afterwards."""
    with optional_import("plots need", "matplotlib"):
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        yield figure, axes


def svg(figure: Figure, name: str, title: str) -> str:
    """The drawing as one <svg> element: same bytes for same input, ids of its own, theme colours, scalable."""
    text = io.StringIO()
    figure.savefig(
        text, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        drawn = drawn.replace(colour, f"var({variable}, {colour})")
    drawn = re.sub(r'\bid="', f'id="{name}-', drawn)
    drawn = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", drawn)
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, count=1)
    return drawn.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1).strip()
