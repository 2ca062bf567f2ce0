"""Agreement of two scorings, against numbers worked by hand and against the definitions."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.metrics.agreement import kendall_tau, kendall_tau_in_groups, top_1_agreement

TWO_SCORINGS = st.lists(st.tuples(st.integers(-3, 5), st.integers(-3, 5)), min_size=2, max_size=40)


def test_tau_counts_couples_in_the_same_order_less_those_reversed() -> None:
    # (1,2) (1,3) (1,4) (3,4) (2,4) agree, (2,3) is reversed: (5 - 1) / 6.
    assert kendall_tau([1, 2, 3, 4], [0.1, 0.3, 0.2, 0.4]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 2, 3], [10, 20, 30]) == 1.0
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1.0


def test_ties_count_neither_way_and_lower_the_reachable_tau() -> None:
    # Couples: (1,2) tied in a; (1,3) and (2,3) agree. 2 / sqrt((3 - 1) × 3).
    assert kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / sqrt(6))
    # (1,2) tied in both, so τ-b is 1.
    assert kendall_tau([1, 1, 2], [5, 5, 7]) == 1.0
    # (1,2) tied in a, (2,3) tied in b, (1,3) reversed: −1 / sqrt(2 × 2).
    assert kendall_tau([1, 1, 2], [2, 1, 1]) == -0.5


def test_tau_of_equal_scores_is_unknown() -> None:
    assert isnan(kendall_tau([1, 1], [1, 2]))
    assert isnan(kendall_tau([1, 2], [3, 3]))
    assert isnan(kendall_tau([1], [1]))
    assert isnan(kendall_tau([], []))


@given(TWO_SCORINGS)
def test_tau_is_its_definition(scores: list[tuple[int, int]]) -> None:
    a, b = np.array(scores, dtype=float).T
    signs = [np.sign(one[:, None] - one[None, :]) for one in (a, b)]
    ordered = [float((sign != 0).sum()) for sign in signs]
    if 0.0 in ordered:
        assert isnan(kendall_tau(a, b))
    else:
        assert kendall_tau(a, b) == pytest.approx((signs[0] * signs[1]).sum() / sqrt(ordered[0] * ordered[1]))


def test_tau_of_many_pairs_takes_no_square_of_memory() -> None:
    a = np.arange(200_000)
    b = a.copy()
    b[[0, -1]] = b[[-1, 0]]  # the two ends change places: 2n − 3 couples are reversed
    couples = 200_000 * 199_999 / 2
    assert kendall_tau(a, b) == pytest.approx(1 - 2 * (2 * 200_000 - 3) / couples)


def test_tau_in_groups_is_the_mean_over_groups_that_have_one() -> None:
    groups = ["x", "y", "x", "y", "z", "w", "w"]
    a = [1, 1, 2, 2, 9, 5, 5]
    b = [1, 2, 2, 1, 0, 1, 2]  # x: 1, y: −1, z: one pair, w: all equal by a
    assert kendall_tau_in_groups(a, b, groups) == 0.0
    assert isnan(kendall_tau_in_groups([1, 2], [1, 2], ["x", "y"]))
    assert isnan(kendall_tau_in_groups([], [], []))


def test_top_1_agreement_is_the_share_of_groups_with_the_same_best_pair() -> None:
    groups = ["x", "x", "y", "y", "x", "z"]
    a = [0.1, 0.9, 0.6, 0.5, 0.2, 0.3]
    b = [0.2, 0.8, 0.4, 0.5, 0.7, 0.9]  # x: the second by both; y: the first, the second; z: one pair
    assert top_1_agreement(a, b, groups) == 0.5


def test_of_equal_scores_the_first_is_the_best() -> None:
    assert top_1_agreement([0.5, 0.5], [0.9, 0.1], ["x", "x"]) == 1.0
    assert top_1_agreement([0.5, 0.5], [0.1, 0.9], ["x", "x"]) == 0.0


def test_top_1_agreement_without_a_group_of_two_is_not_known() -> None:
    assert isnan(top_1_agreement([0.5, 0.1], [0.9, 0.1], ["x", "y"]))
    assert isnan(top_1_agreement([], [], []))


@pytest.mark.parametrize(("a", "b"), [([1, 2], [1]), ([[1, 2]], [[1, 2]]), ([1, np.nan], [1, 2])])
def test_what_does_not_fit_is_refused(a: object, b: object) -> None:
    measures: list[Callable[[], object]] = [
        lambda: kendall_tau(a, b),  # type: ignore[arg-type]
        lambda: top_1_agreement(a, b, ["x", "x"]),  # type: ignore[arg-type]
        lambda: kendall_tau_in_groups(a, b, ["x", "x"]),  # type: ignore[arg-type]
    ]
    for measure in measures:
        with pytest.raises(ValueError, match=r"do not go with|NaN"):
            measure()


def test_groups_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 groups do not go with 2 scores"):
        top_1_agreement([1, 2], [1, 2], ["x"])
