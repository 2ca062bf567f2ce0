"""Lines of the warnings of a report's rows: one a row and sign, however many test sets and seeds show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from tmkd.evaluate.results import Result

_FIGURE = re.compile(r"\d[\d.]*")


class _Place(NamedTuple):
    """Place of a warning: the seeds in words, empty where the row has one, and the test set, empty for a training."""

    seed: str
    split: str


def warning_lines(results: Sequence[Result]) -> list[str]:
    """Each warning of a task's row in the words of its first place, with the places that have it in other figures."""
    seeds: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for one in results:
        seeds.setdefault((one.task, one.row), set()).add((one.teachers_seed, one.seed))
    words: dict[tuple[str, str, str], str] = {}
    places: dict[tuple[str, str, str], list[_Place]] = {}
    for one in results:
        seed = _seed(one, seeds[one.task, one.row])
        for line in one.warnings:
            sign = line.removeprefix(f"{one.split}: ")
            kind = one.task, one.row, _FIGURE.sub("", sign)
            words.setdefault(kind, line)
            places.setdefault(kind, []).append(_Place(seed, one.split if sign != line else ""))
    return [f"warning: {task} × {row}{_said(words[task, row, kind], *at)}" for (task, row, kind), at in places.items()]


def _said(line: str, first: _Place, *others: _Place) -> str:
    """Words of a warning, after those of its first place, and before those of the others."""
    alike = []
    for seed, places in groupby(others, lambda place: place.seed):
        splits = ", ".join(place.split for place in places)
        alike.append(splits if seed == first.seed else f"{seed}: {splits}".removesuffix(": "))
    of_seed = f" ({first.seed})" if first.seed else ""
    return f"{of_seed}: {line}" + (f" [alike: {'; '.join(alike)}]" if alike else "")


def _seed(one: Result, of_row: set[tuple[int, int]]) -> str:
    """Seed of a result among the pairs (teachers' seed, seed) of its row, as far as they differ."""
    if len(of_row) == 1:
        return ""
    teachers = f", teachers' seed {one.teachers_seed}" if len({teachers for teachers, _ in of_row}) > 1 else ""
    return f"seed {one.seed}{teachers}"
