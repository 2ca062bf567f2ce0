"""Shares of the best teacher's accuracy that students keep: plain, above chance, of the gap from BERT-3 (Table 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from tmkd.evaluate.comparisons import at_common_seeds
from tmkd.evaluate.results import Line, Result, best_teacher, distinct, lines

BASELINE = "bert-3"  # row of the student that learns from golden labels alone, by the paper's name in any case


@dataclass(frozen=True, slots=True)
class Share:
    """Accuracy of a student beside `teacher`, the best one by dev.

    `of_teacher` is their ratio; `above_chance` the same ratio of what lies above the share of the commonest label;
    `gap_closed` the student's part of the way from `baseline` (row BERT-3) to the teacher. None where it is undefined:
    the teacher is not above chance or not above the baseline, or there is no such row.
    """

    task: str
    split: str
    row: str
    teacher: str
    baseline: str | None
    of_teacher: float | None
    above_chance: float | None
    gap_closed: float | None


def shares(results: Sequence[Result], base_rates: Mapping[str, float]) -> list[Share]:
    """The shares of every student and bundle; `base_rates` has each task's share of the commonest label.

    The gap is taken at the seeds that the row and BERT-3 both have, where there are some: the noise of one row's
    further seed would look like a part of it.
    """
    tasks = distinct(one.task for one in results)
    return [one for task in tasks for one in _of_task([it for it in results if it.task == task], base_rates[task])]


def _of_task(results: Sequence[Result], base_rate: float) -> Iterator[Share]:
    of_all = lines(results)
    teacher = best_teacher(of_all)
    if teacher is None:
        return
    top = teacher.accuracy.mean
    baseline = next((line for line in of_all if line.row.casefold() == BASELINE), None)
    for line in of_all:
        if line.kind in ("student", "bundle"):
            own = line.accuracy.mean
            yield Share(
                line.task,
                line.split,
                line.row,
                teacher.row,
                None if baseline is None else baseline.row,
                _part(0.0, own, top),
                _part(base_rate, own, top),
                None if baseline is None else _gap_closed(results, baseline, line, top),
            )


def _gap_closed(results: Sequence[Result], baseline: Line, line: Line, top: float) -> float | None:
    """Part of the gap from the baseline to the teacher that a row closes, at the seeds that both rows have."""
    one, other = (
        {(it.teachers_seed, it.seed): it.accuracy for it in results if (it.row, it.split) == (of.row, of.split)}
        for of in (baseline, line)
    )
    start, own = at_common_seeds(one, other)
    return _part(mean(start.values()), mean(own.values()), top)


def _part(start: float, value: float, end: float) -> float | None:
    """Part of the way from `start` to `end` that `value` has gone; None where the end is not above the start."""
    return (value - start) / (end - start) if end > start else None


def undefined_gap(of: Sequence[Share]) -> str:
    """Sentence that says why the share of the gap is undefined; empty where it is not, or where there is no gap."""
    for one in of:
        if one.baseline is not None and one.gap_closed is None:
            return f"The gap from {one.baseline} to {one.teacher} is not positive, so its share is undefined."
    return ""
