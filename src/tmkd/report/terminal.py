"""Results as a terminal table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from tmkd.evaluate.results import Result, distinct, lines
from tmkd.report.formatting import factor, megabytes, millions, percent, rate, share, stat


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
                f"{line.row} !" if line.warned else line.row,
                line.accuracy.show(percent),
                stat(line.auc, share),
                stat(line.mrr, share),
                millions(line.parameters),
                megabytes(line.bytes),
                rate(line.pairs_per_second),
                factor(line.speed_up),
            )
            shown.add_row(*map(Text, cells), style="bold" if line.best else "")
        if task != tasks[-1]:
            shown.add_row()
    return shown
