"""Lines of a report's warnings: one a row and sign, however many test sets and seeds show it; one a weak teacher."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from tmkd.evaluate.results import Result, distinct, lines

_FIGURE = re.compile(r"('[^']*')|\d[\d.]*")  # but not one in the name of a class


class _Place(NamedTuple):
    """Place of a warning: the seeds in words, empty where the row has one; the test set, empty for a training; it."""

    seed: str
    split: str
    line: str


def warning_lines(results: Sequence[Result]) -> list[str]:
    """Each warning of a task's row in the words of its first place, with the places that have it in other figures;
    then each teacher that is weaker than all students.
    """
    seeds: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for one in results:
        seeds.setdefault((one.task, one.row), set()).add((one.teachers_seed, one.seed))
    places: dict[tuple[str, str, str], list[_Place]] = {}
    for one in results:
        seed = _seed(one, seeds[one.task, one.row])
        for line in one.warnings:
            sign = line.removeprefix(f"{one.split}: ")
            kind = one.task, one.row, _FIGURE.sub(r"\1", sign)
            places.setdefault(kind, []).append(_Place(seed, one.split if sign != line else "", line))
    said = [f"warning: {task} × {row}{_said(*of_sign)}" for (task, row, _), of_sign in places.items()]
    return [*said, *_weak_teachers(results)]


def _weak_teachers(results: Sequence[Result]) -> Iterator[str]:
    """Teachers whose accuracy on dev is below every student's, but for the best one: Eq. 6 takes all headers alike."""
    of_all = lines(results)
    for task in distinct(line.task for line in of_all):
        own = [line for line in of_all if line.task == task]
        students = [(line.dev.mean, line.row) for line in own if line.kind == "student" and line.dev is not None]
        teachers = [(line.dev.mean, line.row) for line in own if line.kind == "teacher" and line.dev is not None]
        if not students or not teachers:
            continue
        (lowest, student), (highest, _) = min(students), max(teachers)
        for accuracy, teacher in teachers:
            if accuracy < min(lowest, highest):
                yield (
                    f"warning: {task} × {teacher}: this teacher has {100 * accuracy:.1f} % on dev and the lowest "
                    f"student, {student}, {100 * lowest:.1f} %; where it teaches among others, Eq. 6 takes its header "
                    "like theirs: try a row without it"
                )


def _said(first: _Place, *others: _Place) -> str:
    """Words of a sign at its first place, and the names of the others."""
    alike = []
    for seed, places in groupby(others, lambda place: place.seed):
        splits = ", ".join(place.split for place in places)
        alike.append(splits if seed == first.seed else f"{seed}: {splits}".removesuffix(": "))
    of_seed = f" ({first.seed})" if first.seed else ""
    return f"{of_seed}: {first.line}" + (f" [alike: {'; '.join(alike)}]" if alike else "")


def _seed(one: Result, of_row: set[tuple[int, int]]) -> str:
    """Seed of a result among the pairs (teachers' seed, seed) of its row, as far as they differ."""
    if len(of_row) == 1:
        return ""
    teachers = f", teachers' seed {one.teachers_seed}" if len({teachers for teachers, _ in of_row}) > 1 else ""
    return f"seed {one.seed}{teachers}"
