"""Plots as inline SVG: accuracy, speed, reliability; text stays text, colours follow the page's theme."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
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
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": GRID,
    "axes.axisbelow": True,
}
WIDTH = 6.4  # inches; the page scales the drawing to its column


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
    """Accuracy (%) against speed (pairs/s) of each row, as SVG text; rows without a measured speed are left out.

    `name` begins the drawing's ids.
    """
    found = [line for line in lines(results) if line.pairs_per_second]
    names = dict(zip(found, _names(found), strict=True))
    with drawing(3.9) as (figure, axes):
        for line in found:
            speed = line.pairs_per_second or 0.0
            axes.plot(speed, 100 * line.accuracy.mean, "o", ms=10 if line.best else 8, **_ink_of(line))
        axes.margins(y=0.14)
        fastest = max((line.pairs_per_second or 0 for line in found), default=1)
        axes.set_xlim(0, 1.35 * fastest)  # room for the names right of the points
        axes.grid()
        axes.set_xlabel("pairs per second")
        axes.set_ylabel("accuracy (%)")
        _name_points(axes, found, names)
        return svg(figure, name, "Accuracy against speed")


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


def _name_points(axes: Axes, found: Sequence[Line], names: dict[Line, str]) -> None:
    """Write each name right of its point, moved up where it would cover another name."""
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    taken: list[tuple[float, float]] = []
    for line in sorted(found, key=lambda line: line.accuracy.mean):
        x, y = float(line.pairs_per_second or 0), 100 * line.accuracy.mean
        place = y
        for other_x, other_place in sorted(taken, key=lambda other: other[1]):
            if abs(other_x - x) < 0.3 * (right - left) and abs(other_place - place) < 0.055 * (high - low):
                place = other_place + 0.055 * (high - low)
        taken.append((x, place))
        axes.annotate(
            names[line],
            (x, y),
            xytext=(x + 0.025 * (right - left), place),
            va="center",
            weight="bold" if line.best else "normal",
            annotation_clip=False,
        )


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
