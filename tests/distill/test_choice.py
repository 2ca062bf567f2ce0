"""Choice of pairs by the teachers' scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.distill.choice import choose, even_shares
from tmkd.recipe.rows import ChooseSpec


def chosen(probabilities: Sequence[Sequence[float]], shard: int = 1000, possible: Any = None, **spec: Any) -> list[int]:
    """Rows that are chosen of pairs × teachers, in shards of so many pairs."""
    scores = np.array(probabilities, np.float64)
    mask = np.ones(len(scores), bool) if possible is None else np.array(possible)
    cuts = range(0, len(scores), shard)
    found = choose(ChooseSpec(**spec), ((scores[at : at + shard], mask[at : at + shard]) for at in cuts))
    return np.flatnonzero(found).tolist()


def tenths(rows: list[int], probabilities: np.ndarray) -> list[int]:
    """Chosen pairs of each tenth of the mean probability."""
    counts: list[int] = np.bincount((probabilities[rows].mean(axis=1) * 10).astype(int), minlength=10).tolist()
    return counts


@pytest.mark.parametrize(
    ("counts", "total", "shares"),
    [
        ([5, 5, 5], 6, [2, 2, 2]),
        ([1, 3, 5], 7, [1, 3, 3]),
        ([5, 1, 5], 8, [3, 1, 4]),
        ([0, 2, 0], 9, [0, 2, 0]),
        ([9, 0, 9], 4, [2, 0, 2]),
    ],
)
def test_what_a_group_lacks_the_others_give(counts: list[int], total: int, shares: list[int]) -> None:
    assert even_shares(counts, total) == shares


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(1, 300))
def test_shares_are_as_even_as_counts_allow(counts: list[int], total: int) -> None:
    shares = even_shares(counts, total)
    assert sum(shares) == min(total, sum(counts))
    assert all(share <= count for share, count in zip(shares, counts, strict=True))
    fullest = max(shares)
    assert all(share >= fullest - 1 for share, count in zip(shares, counts, strict=True) if share < count)


def test_by_score_each_tenth_gives_as_many() -> None:
    # 80 pairs at .05, 12 at .55, 4 at .85: sure noes are the rule among pairs that search finds.
    scores = np.repeat([0.05, 0.55, 0.85], [80, 12, 4])[:, None]
    rows = chosen(scores.tolist(), pairs=24, by="score")
    assert tenths(rows, scores) == [10, 0, 0, 0, 0, 10, 0, 0, 4, 0]


def test_a_certain_pair_is_of_the_last_tenth() -> None:
    assert chosen([[1.0], [0.0], [0.5]], pairs=3, by="score") == [0, 1, 2]


def test_by_disagreement_pairs_come_in_proportion_to_the_standard_deviation() -> None:
    scores = np.tile([[0.5, 0.5], [0.45, 0.55], [0.2, 0.8]], (1000, 1))  # deviations 0, .05 and .3
    counts = np.bincount(np.array(chosen(scores.tolist(), pairs=140, by="disagreement")) % 3, minlength=3)
    assert counts[0] == 0
    assert counts[2] / counts[1] == pytest.approx(6, rel=0.35)


def test_by_both_a_tenth_gives_the_pairs_that_teachers_disagree_on() -> None:
    agreed, split = [[0.54, 0.56]] * 50, [[0.15, 0.95]] * 10  # both have the mean .55
    sure = [[0.01, 0.03]] * 50
    rows = chosen(agreed + split + sure, pairs=20, by="both")
    assert sum(row >= 60 for row in rows) == 10
    assert sum(50 <= row < 60 for row in rows) >= 8


def test_the_choice_is_the_same_again_and_in_other_shards_and_another_by_another_seed() -> None:
    scores = np.random.default_rng(0).random((300, 3)).tolist()
    first = chosen(scores, pairs=60)
    assert first == chosen(scores, pairs=60) == chosen(scores, shard=7, pairs=60)
    assert first != chosen(scores, pairs=60, seed=2)
    assert len(first) == 60


def test_fewer_pairs_are_among_more() -> None:
    scores = np.random.default_rng(0).random((300, 3)).tolist()
    assert set(chosen(scores, pairs=40)) < set(chosen(scores, pairs=80))


def test_all_are_taken_where_there_are_fewer() -> None:
    assert chosen([[0.1, 0.2], [0.9, 0.8]], pairs=10) == [0, 1]


def test_a_pair_that_the_stage_cannot_take_is_never_chosen_and_a_missing_score_is_no_score() -> None:
    scores = [[0.1, 0.9], [np.nan, np.nan], [0.3, np.nan], [0.4, 0.6]]
    assert chosen(scores, pairs=4, possible=[True, False, True, True]) == [0, 2, 3]


def test_no_pair_is_chosen_from_none() -> None:
    assert choose(ChooseSpec(pairs=3), []).tolist() == []
