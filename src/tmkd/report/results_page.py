"""report.html: one self-contained page that shows a report to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from tmkd.evaluate.results import Line, best_student, best_teacher, distinct, lines, split_lines
from tmkd.evaluate.speed import Speed
from tmkd.report import figures
from tmkd.report.html import cards, head, plots, table, write_page
from tmkd.report.report_json import DataSet, Report
from tmkd.report.terminal import NONE, count, optional, percent, rate, share, size, times


def write_report_html(path: Path, report: Report) -> None:
    """Write the report for people: one page that loads nothing, runs no script, follows the light or dark theme.

    Raises: TmkdError when matplotlib is missing.
    """
    title = f"{report.name}: results"
    body = "".join(
        [
            _head(report),
            *(_task(task, report) for task in distinct(result.task for result in report.results)),
            _data(report.data),
            _speeds(report.speeds),
            _notes(report.notes),
        ]
    )
    write_page(path, title, body)


def _head(report: Report) -> str:
    seeds = ", ".join(map(str, report.seeds))
    facts = [("Date", report.date), ("Machine", report.machine), ("Seed" if len(report.seeds) == 1 else "Seeds", seeds)]
    return head("tmkd report", report.name, facts)


def _task(task: str, report: Report) -> str:
    """Everything about one task: what was gained, the table, the plots, and all splits when there are several."""
    results = [result for result in report.results if result.task == task]
    every = lines(results)
    parts = [_gain(every), _results(every)]
    drawn = [("Accuracy of each row", figures.accuracy_per_row(results))]
    if any(line.pairs_per_second for line in every):
        drawn.append(("Accuracy against speed", figures.accuracy_against_speed(results)))
    parts.append(plots(drawn))
    if len(distinct(result.split for result in results)) > 1:
        parts.append(f"<h3>Every split</h3>{_splits(split_lines(results))}")
    return f"<section><h2>{escape(task)}</h2>{''.join(parts)}</section>"


def _gain(every: Sequence[Line]) -> str:
    """The best student against the best teacher, in four figures."""
    student, teacher = best_student(every), best_teacher(every)
    if student is None:
        return ""
    shown = [(percent(student.accuracy.mean) + " %", f"accuracy of {student.row}, the best student")]
    if teacher is not None and teacher.accuracy.mean:
        kept = student.accuracy.mean / teacher.accuracy.mean
        shown.append((percent(kept) + " %", f"of the accuracy of {teacher.row}, the best teacher"))
        if student.speed_up is not None:
            shown.append((times(student.speed_up), "its speed in pairs per second"))
        if student.bytes:
            shown.append((percent(student.bytes / teacher.bytes) + " %", "of its bytes on disk"))
    return cards(shown)


def _results(every: Sequence[Line]) -> str:
    rows = [
        (
            line,
            [
                line.accuracy.show(percent),
                *_measures(line),
                count(line.parameters),
                size(line.bytes),
                rate(line.pairs_per_second),
                times(line.speed_up),
                _duration(line.seconds_to_make),
            ],
        )
        for line in every
    ]
    names = [
        "accuracy, %",
        "AUC",
        "MRR",
        "MAP",
        "nDCG@10",
        "parameters",
        "bytes",
        "pairs/s",
        "speed-up",
        "time to make",
    ]
    ranked = next((line for line in every if line.mrr is not None), None)
    told = [f"Accuracy and AUC on {every[0].split}"] if every else []
    if ranked is not None:
        counts = f"{ranked.questions} questions ranked, {ranked.left_out} left out"
        told.append(f"MRR, MAP and nDCG@10 on {ranked.ranked_split} ({counts})")
    told.append("speed-up over the best teacher")
    if any(line.seeds > 1 for line in every):
        told.append(f"mean ± standard deviation over {max(line.seeds for line in every)} seeds")
    return table(["row", *names], rows, "; ".join(told) + ".")


def _splits(every: Sequence[Line]) -> str:
    rows = [
        (line, [line.split, line.accuracy.show(percent), *_measures(line), str(line.questions), str(line.left_out)])
        for line in every
    ]
    names = ["split", "accuracy, %", "AUC", "MRR", "MAP", "nDCG@10", "questions ranked", "left out"]
    return table(["row", *names], rows, "A question without both a right and a wrong passage cannot be ranked.")


def _measures(line: Line) -> list[str]:
    return [optional(stat, share) for stat in (line.auc, line.mrr, line.map, line.ndcg_10)]


def _data(data: Sequence[DataSet]) -> str:
    if not data:
        return ""
    rows = [
        (
            item.name,
            [
                f"{item.pairs:,}",
                f"{item.labelled:,}",
                percent(item.positive / item.labelled) + " %" if item.labelled else NONE,
                f"{item.questions:,}",
                f"{item.question_words:.2f}",
                f"{item.passage_words:.2f}",
            ],
        )
        for item in data
    ]
    names = ["set", "pairs", "labelled", "positive", "questions", "words per question", "words per passage"]
    return (
        f"<section><h2>Data sets</h2>{table(names, rows, 'Means per pair; words are split at white space.')}</section>"
    )


def _speeds(speeds: Mapping[str, Speed]) -> str:
    if not speeds:
        return ""
    rows = [
        (
            name,
            [
                rate(speed.pairs_per_second),
                str(speed.pairs),
                str(speed.repeats),
                str(speed.batch),
                str(speed.threads),
                f"{speed.mean_tokens:.1f}",
                speed.precision,
            ],
        )
        for name, speed in speeds.items()
    ]
    names = ["row", "pairs/s", "pairs", "repeats", "batch", "threads", "mean tokens", "precision"]
    told = "Median of the repeats after a warm-up, rows in turns, tokenising included."
    return f"<section><h2>How speed was measured</h2>{table(names, rows, told)}</section>"


def _notes(notes: Iterable[str]) -> str:
    told = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<section><h2>Notes</h2><ul>{told}</ul></section>" if told else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
