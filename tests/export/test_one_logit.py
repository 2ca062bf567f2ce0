"""One linear unit for several headers: against numbers worked by hand, and on pairs it has not seen."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from tmkd.export.one_logit import fit_one_logit, log_odds

GENERATOR = np.random.default_rng(3)
VECTORS = np.tanh(GENERATOR.normal(size=(400, 8)) * 0.5 + GENERATOR.normal(size=(400, 1)))
GROUPS = [f"q{pair // 2}" for pair in range(400)]
# Headers that look the same way and differ in how sure they are, as those of several teachers do.
WEIGHTS = np.ones((3, 8)) * [[0.2], [0.5], [1.2]] + GENERATOR.normal(size=(3, 8)) * 0.05
BIASES = np.array([0.1, -0.3, 0.2])


def error(weight: np.ndarray, bias: float, vectors: np.ndarray) -> float:
    missed = log_odds(vectors @ WEIGHTS.T + BIASES) - (vectors @ weight + bias)
    return float((missed**2).mean() ** 0.5)


def test_log_odds_are_those_of_the_mean_probability() -> None:
    # 1/2 and 3/4 make 5/8, its odds are 5/3; one header is what it is.
    assert log_odds(np.array([[0.0, log(3)]])) == pytest.approx([log(5 / 3)])
    assert log_odds(np.array([[-2.0], [0.7]])) == pytest.approx([-2.0, 0.7])


def test_log_odds_of_the_very_sure_stay_finite() -> None:
    assert log_odds(np.array([[900.0, 800.0], [-900.0, -800.0]])) == pytest.approx([800 + log(2), -800 - log(2)])


def test_headers_that_are_the_same_collapse_exactly() -> None:
    unit = fit_one_logit(VECTORS, np.repeat(WEIGHTS[:1], 3, axis=0), np.full(3, 0.5), GROUPS)
    assert unit.weight == pytest.approx(WEIGHTS[0], abs=1e-9)
    assert unit.bias == pytest.approx(0.5, abs=1e-9)


def test_the_fit_follows_unseen_pairs_better_than_the_mean_and_knows_how_well() -> None:
    unit = fit_one_logit(VECTORS[:200], WEIGHTS, BIASES, GROUPS[:200])
    assert unit.ridge is not None
    assert unit.held_out_error is not None
    assert unit.held_out_error_of_mean == pytest.approx(error(WEIGHTS.mean(axis=0), BIASES.mean(), VECTORS[:200]))
    unseen = error(unit.weight, unit.bias, VECTORS[200:])
    assert unseen < error(WEIGHTS.mean(axis=0), BIASES.mean(), VECTORS[200:]) / 2
    assert unit.held_out_error == pytest.approx(unseen, rel=0.25)


@pytest.mark.parametrize("pairs", [4, 8, 16])
def test_few_pairs_do_no_harm(pairs: int) -> None:
    of_mean = error(WEIGHTS.mean(axis=0), BIASES.mean(), VECTORS)
    for start in range(0, 160, 16):
        unit = fit_one_logit(VECTORS[start : start + pairs], WEIGHTS, BIASES, [str(pair) for pair in range(pairs)])
        assert error(unit.weight, unit.bias, VECTORS) < 1.001 * of_mean


def test_pairs_of_one_group_are_not_fitted_for_nothing_can_be_held_out() -> None:
    unit = fit_one_logit(VECTORS, WEIGHTS, BIASES, ["q"] * 400)
    assert (unit.ridge, unit.held_out_error, unit.held_out_error_of_mean) == (None, None, None)
    assert np.array_equal(unit.weight, WEIGHTS.mean(axis=0))
    assert unit.bias == pytest.approx(0.0)


def test_the_mean_is_kept_where_held_out_pairs_say_so() -> None:
    # Log-odds (0, ±4): what the mean misses at 1 is the opposite of what it misses at −1.
    unit = fit_one_logit(np.array([[1.0], [-1.0]]), np.array([[0.0], [4.0]]), np.zeros(2), ["a", "b"])
    assert unit.ridge is None
    assert unit.weight.tolist() == [2.0]
    assert unit.held_out_error == unit.held_out_error_of_mean
