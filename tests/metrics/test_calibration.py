"""Log-odds fitted to scores, and calibration errors worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.metrics.calibration import ReliabilityBin, calibration_error, fit_log_odds, reliability


def test_the_log_odds_that_made_the_labels_are_found_again() -> None:
    rng = np.random.default_rng(1)
    scores = rng.uniform(-1, 1, 200_000)
    positive = rng.random(200_000) < 1 / (1 + np.exp(-(3 * scores - 0.5)))
    found = fit_log_odds(scores, positive)
    assert found.slope == pytest.approx(3, abs=0.05)
    assert found.offset == pytest.approx(-0.5, abs=0.03)


def test_a_score_without_information_gives_the_share_of_positives() -> None:
    found = fit_log_odds([0, 1, 0, 1, 0, 1, 0, 1], [1, 1, 0, 0, 0, 0, 0, 0])
    assert found.slope == pytest.approx(0, abs=1e-6)
    # Platt's targets are 3/4 for the two positives and 1/8 for the six negatives.
    assert 1 / (1 + np.exp(-found.offset)) == pytest.approx((2 * 3 / 4 + 6 / 8) / 8)


def test_the_fit_does_not_depend_on_where_the_scores_lie() -> None:
    positive = [0, 1, 0, 1, 1]
    near = fit_log_odds([0.1, 0.2, 0.3, 0.4, 0.5], positive)
    far = fit_log_odds([1000.1, 1000.2, 1000.3, 1000.4, 1000.5], positive)
    assert far.slope == pytest.approx(near.slope, rel=1e-5)
    assert far.slope * 1000.3 + far.offset == pytest.approx(near.slope * 0.3 + near.offset, abs=1e-6)


def test_labels_that_a_score_separates_have_finite_log_odds() -> None:
    found = fit_log_odds([0.0, 0.0, 1.0, 1.0], [0, 0, 1, 1])
    assert np.isfinite(found).all()
    assert found.slope > 1


@pytest.mark.parametrize(
    ("scores", "positive"), [([0.1, 0.2], [1, 1]), ([0.1, 0.2], [0, 0]), ([1, 1], [0, 1]), ([], [])]
)
def test_one_class_or_one_score_is_refused(scores: list[float], positive: list[int]) -> None:
    with pytest.raises(ValueError, match="both classes"):
        fit_log_odds(scores, positive)


def test_calibration_error_weighs_each_bin_by_its_pairs() -> None:
    probabilities = [[0.45, 0.55], [0.05, 0.95], [0.05, 0.95], [0.05, 0.95]]
    # .55: right; .95: two of three right.
    assert reliability(probabilities, [1, 1, 1, 0]) == (
        ReliabilityBin(1, pytest.approx(0.55), 1.0),  # type: ignore[arg-type]
        ReliabilityBin(3, pytest.approx(0.95), pytest.approx(2 / 3)),  # type: ignore[arg-type]
    )
    assert calibration_error(probabilities, [1, 1, 1, 0]) == pytest.approx(0.25 * 0.45 + 0.75 * (0.95 - 2 / 3))


def test_sure_and_right_is_no_error() -> None:
    assert calibration_error([[0.0, 1.0], [1.0, 0.0]], [1, 0]) == 0
