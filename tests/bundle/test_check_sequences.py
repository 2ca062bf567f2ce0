"""Check sequences of a bundle: log-odds, and the limit that int8 engines get."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.bundle.check_sequences import INT8_LIMITS, check_sequences, log_odds
from tmkd.data.tokens import TokenIds

PROBABILITIES = np.array([[0.2, 0.8], [0.5, 0.5]])
LOGITS = np.log(PROBABILITIES).astype(np.float32)
IDS = [np.array([2, 5, 3], dtype=np.int32), np.array([2, 3], dtype=np.int32)]
TOKENS = TokenIds.of(IDS, [np.zeros_like(one) for one in IDS])


def test_log_odds_are_those_of_the_probabilities() -> None:
    np.testing.assert_allclose(log_odds(LOGITS), np.log(PROBABILITIES / (1 - PROBABILITIES)), atol=1e-6)
    three = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_allclose(log_odds(np.log(three).astype(np.float32)), np.log(three / (1 - three)), atol=1e-6)


def test_the_sequences_give_their_ids_back_as_a_batch() -> None:
    found = check_sequences(TOKENS, LOGITS, []).tokens
    assert [one.tolist() for one in found.ids] == [[2, 5, 3], [2, 3]]


@pytest.mark.parametrize(("difference", "limit"), [(0.0, INT8_LIMITS[0]), (0.1, 0.2), (3.0, INT8_LIMITS[1])])
def test_int8_may_differ_by_twice_as_much_as_it_did_within_bounds(difference: float, limit: float) -> None:
    other = LOGITS.copy()
    other[0, 1] += np.float32(difference)  # of two classes: as much in the log-odds
    checked = check_sequences(TOKENS, LOGITS, [LOGITS, other])
    assert checked.int8_limit == pytest.approx(limit, rel=1e-5)
    assert checked.difference(other) == pytest.approx(difference, abs=1e-6)
    assert check_sequences(TOKENS, LOGITS, []).int8_limit == INT8_LIMITS[0]


def test_the_difference_from_a_logit_that_is_nan_is_nan() -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(check_sequences(TOKENS, LOGITS, []).difference(LOGITS * np.float32(np.nan)))
