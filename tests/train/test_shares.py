"""Share of a step that a rank trains on, and the weight of its pairs' losses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.train.shares import Share

# Five pairs of a step with their token ids and losses: their mean loss is 4.
ROWS = np.array([7, 2, 9, 0, 4])
LENGTHS = np.array([30, 0, 10, 0, 50, 0, 0, 40, 0, 20])  # of rows 7, 2, 9, 0, 4: 40, 10, 20, 30, 50
LOSSES = {7: 1.0, 2: 2.0, 9: 3.0, 0: 4.0, 4: 10.0}


def shares(ranks: int) -> list[Share]:
    return [Share.of(ROWS, LENGTHS, rank, ranks) for rank in range(ranks)]


def ranks_losses(ranks: int) -> list[float]:
    """Loss of each rank as the training sums it, whose mean the ranks take."""
    return [sum(LOSSES[row] for row in share.rows) * share.ranks / share.total for share in shares(ranks)]


def test_one_rank_has_the_step_as_it_is() -> None:
    (share,) = shares(1)
    assert (share.rows.tolist(), share.total, share.ranks) == (ROWS.tolist(), 5, 1)
    assert ranks_losses(1) == [4.0]


def test_rows_are_dealt_out_by_length() -> None:
    assert [share.rows.tolist() for share in shares(2)] == [[2, 0, 4], [9, 7]]
    assert [share.rows.tolist() for share in shares(3)] == [[2, 7], [9, 4], [0]]


def test_uneven_ranks_weigh_by_their_pairs() -> None:
    # The mean over ranks of each one's mean would be (16/3 + 4/2) / 2 = 3.67.
    assert ranks_losses(2) == [pytest.approx(16 * 2 / 5), pytest.approx(4 * 2 / 5)]
    assert np.mean(ranks_losses(2)) == pytest.approx(4.0)
    assert ranks_losses(3) == [pytest.approx(3 * 3 / 5), pytest.approx(13 * 3 / 5), pytest.approx(4 * 3 / 5)]
    assert np.mean(ranks_losses(3)) == pytest.approx(4.0)


def test_a_rank_without_a_pair_of_its_own_trains_on_another_ones_and_it_weighs_nothing() -> None:
    assert [len(share.rows) for share in shares(7)] == [1] * 7
    assert ranks_losses(7)[5:] == [0.0, 0.0]
    assert np.mean(ranks_losses(7)) == pytest.approx(4.0)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 9))
def test_each_pair_counts_once_on_one_rank(lengths: list[int], ranks: int) -> None:
    step = np.arange(len(lengths))[::-1]
    dealt = [Share.of(step, np.array(lengths), rank, ranks) for rank in range(ranks)]
    counted = [row for share in dealt if share.ranks for row in share.rows.tolist()]
    assert sorted(counted) == sorted(step.tolist())
    assert {share.total for share in dealt} == {len(step)}
