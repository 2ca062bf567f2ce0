"""Threshold of weak labels at a prior: the share of the positive class that a set labelled by hand has."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def threshold_at(prior: float, scores: npt.NDArray[np.float64]) -> float:
    """The threshold above which the share of the scores is nearest to `prior`, the higher one of two as near.

    scores (rows,), NaN for a missing one. It is one of the scores, or, where nearly all shall lie above it, a number
    just below the smallest.
    """
    known, counts = np.unique(scores[~np.isnan(scores)], return_counts=True)
    if not len(known):
        return 0.0
    candidates = np.concatenate([[np.nextafter(known[0], -np.inf)], known])
    above = 1 - np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
    distances = np.abs(above - prior)[::-1]
    return float(candidates[::-1][np.argmin(distances)])
