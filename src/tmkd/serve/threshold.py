"""Threshold of answers: the smallest score whose precision on dev is high enough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

NEVER = 2.0  # above any probability: no passage is an answer


class Threshold(NamedTuple):
    """Smallest score of an answer, and of dev's pairs from it on: their precision and recall.

    Without such a score: NEVER, the highest precision of any score, and recall 0.
    """

    score: float
    precision: float
    recall: float


def find_threshold(precision: float, scores: npt.NDArray[np.float32], relevant: npt.NDArray[np.bool_]) -> Threshold:
    """Find the smallest of some scores (pairs,) from which on the share of relevant pairs is at least `precision`."""
    order = np.argsort(-scores, kind="stable")
    falling, found = scores[order], np.cumsum(relevant[order])
    precisions = found / np.arange(1, len(found) + 1)
    last = np.flatnonzero(np.append(falling[1:] < falling[:-1], True)[: len(found)])  # of each run of equal scores
    reached = last[precisions[last] >= precision]
    if not len(reached):
        return Threshold(NEVER, float(precisions[last].max(initial=0.0)), 0.0)
    place = reached[-1]
    return Threshold(float(falling[place]), float(precisions[place]), float(found[place] / max(found[-1], 1)))
