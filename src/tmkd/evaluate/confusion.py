"""Confusion of classes, and the pairs on which a student and its teachers differ most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tmkd.evaluate.measures import LabelledSet, Probabilities


def confusion(seeds: Sequence[Probabilities], test: LabelledSet) -> npt.NDArray[np.float64]:
    """Pairs of each label (first axis) by predicted class (second), the mean over seeds: float64 (classes, classes)."""
    found = np.zeros((len(test.names), len(test.names)))
    for probabilities in seeds:
        np.add.at(found, (test.labels, probabilities.argmax(axis=1)), 1 / len(seeds))
    return found


def disagreements(student: Probabilities, teachers: Probabilities, most: int) -> list[tuple[int, float]]:
    """The pairs with the largest distance of two probability distributions, (index, distance), the largest first.

    The distance is half the sum of absolute differences: with two classes the difference of either probability.
    """
    distances = np.abs(student - teachers).sum(axis=1) / 2
    return [(int(pair), float(distances[pair])) for pair in np.argsort(-distances, kind="stable")[:most]]
