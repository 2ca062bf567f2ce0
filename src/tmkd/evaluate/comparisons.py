"""Comparisons of rows with intervals: six named in advance, corrected for being six, and a descriptive rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from tmkd.evaluate.measures import LabelledSet, Probabilities
from tmkd.evaluate.results import Row
from tmkd.metrics.resampling import (
    DRAWS,
    Measure,
    accuracy_measure,
    auc_measure,
    differences,
    holm,
    mean_measure,
    ranking_measure,
)

# Rows by the paper's names, in any case; BEST_TEACHER stands for the best teacher by dev.
BEST_TEACHER = ""
PRIMARY = (
    ("tmkd", "bert-3"),
    ("tmkd", "1-o-1"),
    ("tmkd", "mkd"),
    ("tmkd", "tkd"),
    ("tkd", "1-o-1"),
    ("tmkd", BEST_TEACHER),
)

OF_BASE = {"tmkd": "tmkd-base", "tkd": "tkd-base"}  # rows on the smaller of two corpora, where there are none on one

Pairs = Sequence[tuple[str, str]]
BySplit = Mapping[str, Probabilities]
Value = TypeVar("Value")
Seeds = Mapping[tuple[int, int], BySplit]  # teachers' and student's seed → split → probabilities


@dataclass(frozen=True, slots=True)
class Comparison:
    """Difference `row` − `other` of a measure on one test set, its 95 % interval and two-sided p-value.

    `adjusted` is the p-value after Holm's correction, None for a comparison that is descriptive. `seeds` and
    `other_seeds` count the seeds of both rows, those that both have: of one seed the interval holds no training noise.
    """

    task: str
    split: str
    measure: str
    row: str
    other: str
    value: float
    low: float
    high: float
    p: float
    seeds: int
    other_seeds: int
    adjusted: float | None = None


def named_in_advance(students: Collection[str], teacher: str | None) -> list[tuple[str, str]]:
    """The primary comparisons whose rows are there, in their order."""
    known = {row.casefold(): row for row in students}
    known = {row: known[base] for row, base in OF_BASE.items() if base in known} | known
    if teacher is not None:
        known[BEST_TEACHER] = teacher
    return [(known[row], known[other]) for row, other in PRIMARY if row in known and other in known]


def compare(
    rows: Mapping[str, Seeds],
    students: Collection[str],
    teacher: str | None,
    first: LabelledSet,
    ranked: LabelledSet | None,
) -> list[Comparison]:
    """Compare the rows of one task on its first test set, and on the one that ranking measures are of.

    Primary: the accuracy of the comparisons named in advance, Holm-corrected together. Descriptive: AUC, MRR and
    nDCG@10 of the same rows, and the accuracy of every other student against the best teacher by dev.
    """
    primary = named_in_advance(students, teacher)
    found = _compared("accuracy", rows, primary, first)
    adjusted = holm([one.p for one in found])
    found = [replace(one, adjusted=value) for one, value in zip(found, adjusted, strict=True)]
    if teacher is not None:
        others = [(row, teacher) for row in students if (row, teacher) not in primary]
        found += _compared("accuracy", rows, others, first)
    if 0 < int(first.positives.sum()) < len(first.labels):
        found += _compared("auc", rows, primary, first)
    for name in ("mrr", "ndcg_10", *(("ndcg_10_graded",) if ranked is not None and ranked.grades is not None else ())):
        found += _compared(name, rows, primary, ranked) if ranked is not None else []
    return found


def accuracy_differences(rows: Mapping[str, Seeds], pairs: Pairs, tests: Sequence[LabelledSet]) -> list[Comparison]:
    """Differences of accuracy of these pairs of rows, the mean over one task's test sets; all are descriptive."""
    return _compared("accuracy", rows, pairs, *tests)


def by_row(predicted: Iterable[tuple[Row, BySplit]]) -> dict[str, Seeds]:
    """One task's probabilities by row and seeds.

    A teacher's own seed follows from the teachers', and a yardstick has none: theirs is 0, which no student has.
    """
    found: dict[str, dict[tuple[int, int], BySplit]] = {}
    for row, by_split in predicted:
        seed = row.seed if row.kind in ("student", "bundle") else 0
        found.setdefault(row.row, {})[row.teachers_seed, seed] = by_split
    return dict(found)


def _compared(name: str, rows: Mapping[str, Seeds], pairs: Pairs, *tests: LabelledSet) -> list[Comparison]:
    if not pairs:
        return []
    measures: dict[str, tuple[tuple[tuple[int, int], ...], Measure]] = {}
    sides: list[tuple[str, str]] = []
    for row, other in pairs:
        one, second = at_common_seeds(rows[row], rows[other])
        named = {f"{row} {[*one]}": one, f"{other} {[*second]}": second}
        for side in named.keys() - measures.keys():
            parts = [(_measure(name, named[side], test), len(test.labels)) for test in tests]
            measures[side] = tuple(named[side]), mean_measure(parts)
        sides.append((f"{row} {[*one]}", f"{other} {[*second]}"))
    groups = [f"{place} {group}" for place, test in enumerate(tests) for group in test.groups]
    task, split = tests[0].task, ", ".join(test.split for test in tests)
    found = differences(measures, groups, sides, DRAWS)
    return [
        Comparison(task, split, name, *rows_of, *one, *(len(measures[side][0]) for side in of))
        for rows_of, of, one in zip(pairs, sides, found, strict=True)
    ]


def at_common_seeds(
    one: Mapping[tuple[int, int], Value], other: Mapping[tuple[int, int], Value]
) -> tuple[Mapping[tuple[int, int], Value], Mapping[tuple[int, int], Value]]:
    """Two rows at the seeds that both have; whole where they have none in common, as a student and a teacher."""
    common = one.keys() & other.keys()
    if not common:
        return one, other
    return {key: one[key] for key in one if key in common}, {key: other[key] for key in other if key in common}


def _measure(name: str, seeds: Seeds, test: LabelledSet) -> Measure:
    probabilities = np.stack([splits[test.split] for splits in seeds.values()])
    if name == "accuracy":
        return accuracy_measure(probabilities, test.labels)
    scores = probabilities[:, :, test.positive]
    if name == "auc":
        return auc_measure(scores, test.positives)
    return ranking_measure(scores, test.positives, test.groups, name, test.grades)


def remarks(of: Sequence[Comparison]) -> Iterator[str]:
    """Sentences on what the intervals of one task's comparisons hold; none without comparisons."""
    primary = sum(one.adjusted is not None for one in of)
    if of:
        yield (
            f"Differences with 95 % intervals from {DRAWS:,} draws of questions and of seeds; p is Holm-corrected over "
            f"the comparisons named in advance ({primary}), all others are descriptive."
        )
    single = {row for one in of for row, seeds in ((one.row, one.seeds), (one.other, one.other_seeds)) if seeds == 1}
    every = {row for one in of for row in (one.row, one.other)}
    if single and single == every:
        yield "Every row has one seed: the intervals hold no training noise."
    elif single:
        yield f"{', '.join(sorted(single))}: one seed, so the intervals hold none of its training noise."
