"""Studies of made-up rows: each is right on the first so many of ten questions, one pair a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from row_fragments import ORIGIN
from tmkd.evaluate.measures import LabelledSet, Probabilities
from tmkd.evaluate.results import Kind, Result
from tmkd.report.row_fragment import MeasuredSpeed, RowFragment, Tested
from tmkd.report.study import Study

PAIRS = 10
CLASSES = ("no", "yes")
LABELS = np.array([0, 1] * (PAIRS // 2))


def labelled_set(task: str, split: str) -> LabelledSet:
    """Ten questions of one pair each."""
    return LabelledSet(task, split, CLASSES, 1, LABELS, tuple(map(str, range(PAIRS))))


def probabilities(right: int) -> Probabilities:
    """Probabilities that are right on the first so many pairs, the surer the earlier."""
    sure = 0.9 - 0.01 * np.arange(PAIRS)
    of_label = np.where(np.arange(PAIRS) < right, sure, 1 - sure)
    yes = np.where(LABELS == 1, of_label, 1 - of_label)
    return np.stack([1 - yes, yes], axis=1)


def row(
    name: str,
    *right: int,
    kind: Kind = "student",
    seed: int = 1,
    task: str = "webqa",
    splits: Sequence[str] = ("test",),
    corpora: Sequence[str] = ("web",),
    speed: MeasuredSpeed | None = None,
) -> tuple[RowFragment, Tested]:
    """A row that is right on so many pairs of each test set."""
    results = tuple(
        Result(
            name, kind, task, split, hits / PAIRS, None, None, None, None, 17_390_000, 70, None, seed, 1.0,
            dev=hits / PAIRS,
        )
        for split, hits in zip(splits, right, strict=True)
    )  # fmt: skip
    fragment = RowFragment(
        run="small", place=0, results=results, speed=speed, origin=ORIGIN,
        recipe={f"collect.{corpus}": "a" for corpus in corpora}, classes=CLASSES, positive=1,
        tests=dict.fromkeys(splits, "d"), made_of=("e",),
    )  # fmt: skip
    tested = {
        split: (labelled_set(task, split), probabilities(hits)) for split, hits in zip(splits, right, strict=True)
    }
    return fragment, tested


def study(*rows: tuple[RowFragment, Tested], **fields: Any) -> Study:
    """Study of these rows."""
    return Study("small", rows, **fields)
