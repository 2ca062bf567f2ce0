"""N+1 headers → one linear unit: the least loss when a program has room for a single logit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FOLDS = 10
# Ridges that are tried, as shares of the pairs' total squared distance from their mean.
RIDGES = tuple(10.0**power for power in range(-8, 1))


@dataclass(frozen=True, slots=True)
class OneLogit:
    """weight · h1 + bias ≈ the log-odds of Eq. 6; weight (width,).

    `ridge` is None where the headers' mean was kept as it is. The errors are root mean squares in log-odds over pairs
    that the fit had not seen, of the fit and of the mean alone; both None when all pairs are of one group.
    """

    weight: Floats
    bias: float
    ridge: float | None
    held_out_error: float | None
    held_out_error_of_mean: float | None


def log_odds(header_log_odds: Floats) -> Floats:
    """log p/(1−p) of Eq. 6's p, the mean over headers of the positive class's probability.

    header_log_odds (pairs, headers): the positive class's logit less the other's → (pairs,).
    """
    yes, no = (-np.logaddexp(0.0, sign * header_log_odds) for sign in (-1.0, 1.0))
    difference: Floats = np.logaddexp.reduce(yes, axis=1) - np.logaddexp.reduce(no, axis=1)
    return difference


def fit_one_logit(vectors: Floats, weights: Floats, biases: Floats, groups: Sequence[str]) -> OneLogit:
    """The linear unit that follows the log-odds of Eq. 6 best on these pairs.

    vectors (pairs, width): h1; weights (headers, width), biases (headers,): of each header the positive class's less
    the other's; groups (pairs,) question ids.

    The mean of the headers' weights is right where the headers agree, and needs no pairs at all. What it misses is a
    curve (the least sure header keeps the mean of probabilities from 0 and 1), so only that remainder is fitted: least
    squares on h1 with a ridge and a free constant. Plain least squares would have about as many unknowns as a dev set
    has pairs. The ridge, or no fit at all, is chosen by the error on held-out groups, so few pairs do no harm: on a
    student of four headers three pairs already lost less than the mean alone, and 510 lost a fourteenth. The headers'
    own outputs as the only inputs, one coefficient each, lost four times as much as h1, which bends with them.
    """
    mean_weight, mean_bias = weights.mean(axis=0), float(biases.mean())
    missing = log_odds(vectors @ weights.T + biases) - (vectors @ mean_weight + mean_bias)
    _, group = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    fold = group % min(FOLDS, int(group.max()) + 1)
    if not fold.any():
        return OneLogit(mean_weight, mean_bias, None, None, None)
    errors = np.zeros(len(RIDGES))
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        for place, (weight, bias) in enumerate(_ridges(vectors[~held_out], missing[~held_out])):
            errors[place] += ((missing[held_out] - vectors[held_out] @ weight - bias) ** 2).sum()
    of_mean = float((missing**2).mean() ** 0.5)
    best = int(errors.argmin())
    error = float((errors[best] / len(vectors)) ** 0.5)
    if error >= of_mean:
        return OneLogit(mean_weight, mean_bias, None, of_mean, of_mean)
    weight, bias = list(_ridges(vectors, missing))[best]
    return OneLogit(mean_weight + weight, mean_bias + bias, RIDGES[best], error, of_mean)


def _ridges(vectors: Floats, targets: Floats) -> Iterator[tuple[Floats, float]]:
    """Weight (width,) and bias of the ridge regression with each of RIDGES; one eigendecomposition serves all."""
    center, mean = vectors.mean(axis=0), float(targets.mean())
    centered = vectors - center
    squares, axes = np.linalg.eigh(centered.T @ centered)
    squares = np.maximum(squares, 0.0)
    along = axes.T @ (centered.T @ (targets - mean))
    total = float(squares.sum())
    for ridge in RIDGES:
        weight: Floats = axes @ (along / (squares + ridge * total)) if total else np.zeros_like(center)
        yield weight, mean - float(center @ weight)
