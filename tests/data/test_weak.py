"""Thresholds of weak labels at a prior."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.data.weak import threshold_at

SCORES = np.array([0.9, 0.1, np.nan, 0.4, 0.7, 0.2])


@pytest.mark.parametrize(
    ("prior", "threshold", "above"),
    [(0.4, 0.4, 2), (0.5, 0.4, 2), (0.6, 0.2, 3), (0.0, 0.9, 0), (0.99, np.nextafter(0.1, -1), 5)],
)
def test_the_share_above_the_threshold_is_the_nearest_to_the_prior(prior: float, threshold: float, above: int) -> None:
    assert threshold_at(prior, SCORES) == threshold
    assert np.sum(threshold < SCORES) == above


def test_equal_scores_stay_on_one_side() -> None:
    assert threshold_at(0.5, np.array([1.0, 1.0, 1.0, 0.0, 0.0])) == 0.0
    assert threshold_at(0.2, np.array([1.0, 1.0, 1.0, 0.0, 0.0])) == 1.0


def test_without_a_score_there_is_nothing_to_cut() -> None:
    assert threshold_at(0.5, np.array([np.nan])) == 0.0
