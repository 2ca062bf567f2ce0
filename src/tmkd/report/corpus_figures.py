"""Plots of a stage-1 corpus as inline SVG: histograms, pairs and scores by rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tmkd.evaluate.corpus import Histogram, Rank
from tmkd.report.figures import KIND_COLOURS, MUTED, drawing, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR = KIND_COLOURS["student"]
_SIZE = (2.5, 4.4)  # height and width in inches; the page shows three side by side
_BARS = 40  # of a histogram at most, without the grey one
_SHOWN = 0.995  # the share of all items that the coloured bars cover at least


def histogram(counted: Histogram, name: str, title: str, things: str, unit: str) -> str:
    """Draw a histogram as SVG text; a grey last bar shows the few items with larger values.

    `name` begins the drawing's ids and must be unique in a page.
    """
    starts, heights, last, more = bars(counted)
    width = (last + 1 - int(starts[0])) // len(starts)
    with drawing(*_SIZE) as (figure, axes):
        middles = starts + (width - 1) / 2
        axes.bar(middles, heights, 0.88 * width, color=_COLOUR)
        if more:
            axes.bar(middles[-1] + 1.5 * width, more, 0.88 * width, color=MUTED)
        _label(axes, unit, things, int(starts[0]), last)
        return svg(figure, name, title)


def bars(counted: Histogram) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Bars of a histogram: each one's smallest value and number of items; the last one's largest value, and the number
    of items above it.
    """
    low, high = counted.quantile(0), counted.quantile(1)
    if high - low >= _BARS:
        high = counted.quantile(_SHOWN)
    width = -(-(high - low + 1) // _BARS)
    starts = np.arange(low, high + 1, width)
    end = int(starts[-1]) + width
    return starts, np.add.reduceat(counted.counts[:end], starts), end - 1, int(counted.counts[end:].sum())


def scores_by_rank(ranks: Sequence[Rank]) -> str:
    """Median and quartiles of the score at each rank, as SVG text; ranks without scores are left out."""
    scored = [(rank.rank, *rank.scores) for rank in ranks if rank.scores is not None]
    places, low, median, high = zip(*scored, strict=True)
    with drawing(*_SIZE) as (figure, axes):
        axes.fill_between(places, low, high, color=_COLOUR, alpha=0.2, linewidth=0)
        axes.plot(places, median, color=_COLOUR, marker="o", ms=5 if len(places) <= _BARS else 0)
        axes.set_ylim(bottom=min(0.0, *low))
        _label(axes, "rank", "score", places[0], places[-1])
        return svg(figure, "scores", "Score by rank")


def pairs_by_rank(ranks: Sequence[Rank]) -> str:
    """Number of pairs found at each rank, as SVG text."""
    with drawing(*_SIZE) as (figure, axes):
        axes.bar([rank.rank for rank in ranks], [rank.pairs for rank in ranks], 0.88, color=_COLOUR)
        _label(axes, "rank", "pairs", ranks[0].rank, ranks[-1].rank)
        return svg(figure, "ranks", "Pairs by rank")


def _label(axes: Axes, across: str, up: str, low: int, high: int) -> None:
    """Label both axes; whole numbers from `low` to `high` on the first, commas between thousands on the second."""
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_xticks([tick for tick in axes.get_xticks() if low <= tick <= high and tick == round(tick)])
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y")
