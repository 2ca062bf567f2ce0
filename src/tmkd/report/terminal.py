"""Results as a terminal table, and how measures are written in any table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from tmkd.evaluate.results import Result, Stat, distinct, lines

NONE = "-"  # what a table says where a measure means nothing


def table(results: Sequence[Result]) -> Table:
    """The results as a terminal table: one section per task, best student in bold, `mean ± deviation` over seeds."""
    every = lines(results)
    tasks = distinct(line.task for line in every)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("row", no_wrap=True)
    for name in ("accuracy", "AUC", "MRR", "parameters", "bytes", "pairs/s", "speed-up"):
        shown.add_column(name, justify="right", no_wrap=True)
    for task in tasks:
        if len(tasks) > 1:
            shown.add_row(Text(task, style="italic"))
        for line in (line for line in every if line.task == task):
            cells = (
                line.row,
                line.accuracy.show(percent),
                optional(line.auc, share),
                optional(line.mrr, share),
                count(line.parameters),
                size(line.bytes),
                rate(line.pairs_per_second),
                times(line.speed_up),
            )
            shown.add_row(*map(Text, cells), style="bold" if line.best else "")
        if task != tasks[-1]:
            shown.add_row()
    return shown


def percent(value: float) -> str:
    """A share as per cent with one decimal, without the sign."""
    return f"{100 * value:.1f}"


def share(value: float) -> str:
    """A share with three decimals."""
    return f"{value:.3f}"


def optional(stat: Stat | None, form: Callable[[float], str]) -> str:
    """A statistic that may be missing."""
    return NONE if stat is None else stat.show(form)


def count(value: int) -> str:
    """A number of parameters in millions, as the paper's tables have it."""
    return f"{value / 1e6:.2f} M"


def size(value: int) -> str:
    """Bytes in megabytes of 10⁶ bytes."""
    return f"{value / 1e6:.1f} MB"


def rate(value: float | None) -> str:
    """Pairs per second, three digits at least."""
    return NONE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(value: float | None) -> str:
    """A factor."""
    return NONE if value is None else f"{value:.1f}×"
