"""Calibration: one score → log-odds (Platt scaling), and how far probabilities are from the shares that are right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_STEPS = 100  # of Newton's method, which needs about ten
_MOST_SPREADS = 1e3  # slope, in standard deviations of the score: separable labels would have an infinite one


class LogOdds(NamedTuple):
    """Straight line from a score to the log-odds of the positive class: `slope` · score + `offset`."""

    slope: float
    offset: float


class ReliabilityBin(NamedTuple):
    """Pairs whose confidence lies in one tenth of [0, 1]: their number, mean confidence, share that is right."""

    pairs: int
    confidence: float
    accuracy: float


def fit_log_odds(scores: npt.ArrayLike, positive: npt.ArrayLike) -> LogOdds:
    """Fit log-odds to a score by maximum likelihood (Platt, 1999, with his targets (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2)).

    scores: (pairs,) float; positive: (pairs,) bool. Raises: ValueError unless both classes are there and scores differ.
    """
    values, right = np.asarray(scores, np.float64), np.asarray(positive).astype(bool)
    count = int(right.sum())
    spread = float(values.std()) if len(values) else 0.0
    if not 0 < count < len(right) or not np.isfinite(spread) or spread == 0:
        raise ValueError("log-odds need pairs of both classes and scores that differ")
    centre = float(values.mean())
    inputs = np.stack([(values - centre) / spread, np.ones_like(values)], axis=1)
    targets = np.where(right, (count + 1) / (count + 2), 1 / (len(right) - count + 2))
    line = np.array([0.0, np.log((count + 1) / (len(right) - count + 1))])
    for _ in range(_STEPS):
        shares = 1 / (1 + np.exp(-np.clip(inputs @ line, -50, 50)))
        gradient = inputs.T @ (targets - shares)
        hessian = (inputs * (shares * (1 - shares))[:, None]).T @ inputs + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        line += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    slope = float(np.clip(line[0], -_MOST_SPREADS, _MOST_SPREADS)) / spread
    return LogOdds(slope, float(line[1]) - slope * centre)


def reliability(probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Confidence (the likeliest class's probability) against accuracy, in bins of equal width; empty ones left out.

    probabilities: (pairs, classes); labels: int (pairs,), all known.
    """
    values, golden = np.asarray(probabilities, np.float64), np.asarray(labels)
    confidence, right = values.max(axis=1), values.argmax(axis=1) == golden
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return tuple(
        ReliabilityBin(int(own.sum()), float(confidence[own].mean()), float(right[own].mean()))
        for number in range(bins)
        if (own := place == number).any()
    )


def calibration_error(probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: mean |confidence − accuracy| over bins, weighted by pairs (Guo et al., 2017)."""
    found = reliability(probabilities, labels, bins)
    pairs = sum(one.pairs for one in found)
    return sum(one.pairs * abs(one.confidence - one.accuracy) for one in found) / max(pairs, 1)
