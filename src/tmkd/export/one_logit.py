"""Fit of one linear unit to the N+1 headers, for programs that take a single logit."""

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

    `ridge` is None when the unit is the headers' mean. The errors are root mean squares in log-odds on held-out pairs,
    of the fit and of the mean; both None when all pairs are of one group.
    """

    weight: Floats
    bias: float
    ridge: float | None
    held_out_error: float | None
    held_out_error_of_mean: float | None


def log_odds(header_log_odds: Floats) -> Floats:
    """Log-odds log p/(1−p) of Eq. 6's p, the mean over headers of the positive class's probability.

    header_log_odds (pairs, headers): the positive class's logit minus the other's → (pairs,).
    """
    yes, no = (-np.logaddexp(0.0, sign * header_log_odds) for sign in (-1.0, 1.0))
    difference: Floats = np.logaddexp.reduce(yes, axis=1) - np.logaddexp.reduce(no, axis=1)
    return difference


def fit_one_logit(vectors: Floats, weights: Floats, biases: Floats, groups: Sequence[str]) -> OneLogit:
    """Fit the linear unit closest to the log-odds of Eq. 6 on these pairs.

    vectors (pairs, width): h1; weights (headers, width), biases (headers,): of each header the positive class's less
    the other's; groups (pairs,): question ids.

    The mean of the headers' weights is exact where the headers agree, and needs no pairs. Where they disagree, the
    least certain header keeps the mean of the probabilities away from 0 and 1; only this remainder is fitted, by ridge
    regression on h1 with an intercept, because plain least squares would have about as many unknowns as a dev set has
    pairs. Cross-validation over groups chooses the ridge, or no fit, so a few pairs do no harm: with four headers, a
    fit on three pairs already had a smaller error than the mean, and a fit on 510 a fourteenth of it. Regression on the
    headers' outputs, one coefficient each, had four times the error of regression on h1.
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
    """Weight (width,) and bias of the ridge regression for each of RIDGES, by one eigendecomposition."""
    center, mean = vectors.mean(axis=0), float(targets.mean())
    centered = vectors - center
    squares, axes = np.linalg.eigh(centered.T @ centered)
    squares = np.maximum(squares, 0.0)
    along = axes.T @ (centered.T @ (targets - mean))
    total = float(squares.sum())
    for ridge in RIDGES:
        weight: Floats = axes @ (along / (squares + ridge * total)) if total else np.zeros_like(center)
        yield weight, mean - float(center @ weight)
