"""Results as terminal tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from tmkd.evaluate.results import Result, distinct, lines
from tmkd.report.cells import TextTable, caption, difference_table, ndcg_text, share_table
from tmkd.report.formatting import factor, megabytes, millions, percent, rate, share, stat
from tmkd.report.report_json import Report


def tables(report: Report) -> Iterator[Table | Text]:
    """The results, then for each task its captions, the differences of its rows and its students' shares."""
    yield table(report.results)
    every = lines(report.results)
    tasks = distinct(line.task for line in every)
    for task in tasks:
        prefix = f"{task}: " if len(tasks) > 1 else ""
        yield Text(prefix + caption([line for line in every if line.task == task], len(report.teachers_seeds) > 1))
        for one in (
            difference_table([one for one in report.comparisons if one.task == task]),
            share_table([one for one in report.shares if one.task == task]),
        ):
            if one.rows:
                yield Text()
                yield _plain(one)
                yield from map(Text, one.remarks)


def table(results: Sequence[Result]) -> Table:
    """The results as a table: one section per task, best student by dev in bold, `mean ± deviation` over seeds."""
    every = lines(results)
    tasks = distinct(line.task for line in every)
    shown = _empty(("row", "accuracy", "AUC", "MRR", "nDCG@10", "ECE", "parameters", "bytes", "pairs/s", "speed-up"))
    for task in tasks:
        if len(tasks) > 1:
            shown.add_row(Text(task, style="italic"))
        for line in (line for line in every if line.task == task):
            cells = (
                f"{line.row} !" if line.warned else line.row,
                line.accuracy.show(percent),
                stat(line.auc, share),
                stat(line.mrr, share),
                ndcg_text(line),
                stat(line.ece, share),
                millions(line.parameters),
                megabytes(line.bytes),
                rate(line.pairs_per_second),
                factor(line.speed_up),
            )
            shown.add_row(*map(Text, cells), style="bold" if line.best else "")
        if task != tasks[-1]:
            shown.add_row()
    return shown


def _plain(of: TextTable) -> Table:
    shown = _empty(of.columns)
    for row in of.rows:
        shown.add_row(*map(Text, row))
    return shown


def _empty(columns: Sequence[str]) -> Table:
    """A table without a frame: names on the left, all else on the right."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        shown.add_column(name, justify="right" if place else "left", no_wrap=True)
    return shown
