"""report.md: the results of a run as Markdown tables, to be pasted into a document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tmkd.evaluate.results import Line, distinct, lines
from tmkd.report.cells import caption, difference_table, ndcg_text, share_table
from tmkd.report.formatting import duration, factor, integer, megabytes, millions, percent, rate, share, stat
from tmkd.report.markdown import markdown_table, markdown_text
from tmkd.report.report_json import DataSet, Report
from tmkd.store import write_atomic

RESULTS = (
    *("row", "accuracy, %", "AUC", "MRR", "MAP", "nDCG@10", "ECE", "dev, %"),
    *("parameters", "bytes", "pairs/s", "speed-up", "time to make"),
)
DATA_SETS = ("set", "pairs", "labels", "questions", "words per question", "words per passage")


def write_report_markdown(path: Path, report: Report) -> None:
    """Write the report's tables: results, differences and shares per task, then the data sets (Table 3) and notes."""
    write_atomic(path, ("\n\n".join(_blocks(report)) + "\n").encode("utf-8", "replace"))


def _blocks(report: Report) -> Iterator[str]:
    yield f"# {markdown_text(report.name)}"
    seeds = ", ".join(map(str, report.seeds))
    several = len(report.teachers_seeds) > 1
    teachers = f", teachers' seeds {', '.join(map(str, report.teachers_seeds))}" if several else ""
    yield markdown_text(
        f"{report.date}; {report.machine}; {'seed' if len(report.seeds) == 1 else 'seeds'} {seeds}{teachers}"
    )
    every = lines(report.results)
    for task in distinct(line.task for line in every):
        own = [line for line in every if line.task == task]
        yield f"## {markdown_text(task)}"
        yield markdown_table(RESULTS, [_result(line) for line in own])
        yield markdown_text(caption(own, several))
        for one in (
            difference_table([one for one in report.comparisons if one.task == task]),
            share_table([one for one in report.shares if one.task == task]),
        ):
            if one.rows:
                yield markdown_table(one.columns, one.rows)
                yield markdown_text(" ".join(one.remarks))
    if report.data:
        yield "## Data sets"
        yield markdown_table(DATA_SETS, [_data_set(one) for one in report.data])
    if report.notes:
        yield "## Notes"
        yield "\n".join(f"- {markdown_text(note)}" for note in report.notes)


def _result(line: Line) -> tuple[str, ...]:
    return (
        f"{line.row}{' !' if line.warned else ''}{' (best by dev)' if line.best else ''}",
        line.accuracy.show(percent),
        stat(line.auc, share),
        stat(line.mrr, share),
        stat(line.map, share),
        ndcg_text(line),
        stat(line.ece, share),
        stat(line.dev, percent),
        millions(line.parameters),
        megabytes(line.bytes),
        rate(line.pairs_per_second),
        factor(line.speed_up),
        duration(line.seconds_to_make),
    )


def _data_set(one: DataSet) -> tuple[str, ...]:
    words = (f"{one.question_words:.2f}", f"{one.passage_words:.2f}")
    return (one.name, integer(one.pairs), label_counts(one), integer(one.questions), *words)


def label_counts(one: DataSet) -> str:
    """Pairs of each class in words: `1,200 no, 300 yes`; empty without labels."""
    return ", ".join(f"{integer(count)} {name}" for name, count in one.classes.items() if count)
