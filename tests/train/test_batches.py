from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.train.batches import BatchPlan


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 3), st.integers(0, 5))
def test_every_epoch_has_every_pair_once(pairs: int, batch: int, epochs: int, seed: int) -> None:
    steps = BatchPlan(pairs, batch, epochs, seed)
    taken = [steps[step].tolist() for step in range(len(steps))]
    for epoch in range(epochs):
        batches = taken[epoch * steps.per_epoch : (epoch + 1) * steps.per_epoch]
        assert sorted(row for rows in batches for row in rows) == list(range(pairs))
        assert all(len(rows) == batch for rows in batches[:-1])


def test_a_step_is_the_same_pairs_whether_or_not_the_steps_before_were_asked_for() -> None:
    steps, resumed = BatchPlan(20, 3, 2, seed=4), BatchPlan(20, 3, 2, seed=4)
    last = [steps[step].tolist() for step in range(len(steps))][9]
    assert resumed[9].tolist() == last
    assert BatchPlan(20, 3, 2, seed=5)[9].tolist() != last
    assert steps[0].tolist() != steps[7].tolist()


@pytest.mark.parametrize("pairs", [1, 7, 5000])
def test_an_epoch_is_numpys_permutation_of_its_seed(pairs: int) -> None:
    steps = BatchPlan(pairs, pairs, 2, seed=3)
    for epoch in range(2):
        assert steps[epoch].tolist() == np.random.default_rng([3, epoch]).permutation(pairs).tolist()
        assert steps[epoch].dtype == np.int64


def test_there_is_no_step_after_the_last() -> None:
    with pytest.raises(IndexError):
        BatchPlan(4, 2, 1, 0)[2]


def test_a_number_of_steps_ends_the_last_epoch_early() -> None:
    whole, cut = BatchPlan(10, 4, 3, seed=1), BatchPlan(10, 4, 99, seed=1, steps=7)
    assert (whole.epochs, len(whole), cut.epochs, len(cut)) == (3, 9, 3, 7)
    assert [cut[step].tolist() for step in range(7)] == [whole[step].tolist() for step in range(7)]
    assert [step for step in range(1, 8) if cut.ended(step) is not None] == [3, 6, 7]
    assert [cut.ended(step) for step in (3, 6, 7)] == [1, 2, 3]
    with pytest.raises(IndexError):
        cut[7]
