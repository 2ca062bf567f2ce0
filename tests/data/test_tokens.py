"""Ragged token ids: padding, choosing, cutting into batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tmkd.data.tokens import TokenIds

IDS = [[11, 0, 12, 1, 12], [11, 0, 1, 12, 2, 3, 4, 12], [11, 0, 12, 2, 12]]
TYPES = [[0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1]]
TOKENS = TokenIds.of([np.array(one) for one in IDS], [np.array(one) for one in TYPES])


def test_pairs_come_back_as_they_were_given() -> None:
    assert [one.tolist() for one in TOKENS.ids] == IDS
    assert [one.tolist() for one in TOKENS.types] == TYPES
    assert TOKENS.lengths.tolist() == [5, 8, 5]


def test_padding_goes_to_the_longest_of_the_batch() -> None:
    batch = TOKENS.pad([2, 0], 13)
    assert {key: value.shape for key, value in batch.items()} == dict.fromkeys(batch, (2, 5))
    assert batch["input_ids"].tolist() == [IDS[2], IDS[0]]
    batch = TOKENS.pad(np.array([1, 0]), 13)
    assert batch["input_ids"].tolist() == [IDS[1], [*IDS[0], 13, 13, 13]]
    assert batch["attention_mask"].tolist() == [[1] * 8, [1] * 5 + [0] * 3]
    assert batch["token_type_ids"].tolist() == [TYPES[1], [*TYPES[0], 0, 0, 0]]
    assert {value.dtype for value in batch.values()} == {np.dtype(np.int64)}


def test_no_pairs_make_an_empty_batch_and_no_batches() -> None:
    nothing = TokenIds.of([], [])
    assert nothing.lengths.shape == (0,)
    assert nothing.pad([], 13)["input_ids"].shape == (0, 0)
    assert nothing.batches(64) == []
    assert nothing.ids == []


def test_taken_pairs_come_in_the_order_asked_for() -> None:
    taken = TOKENS.take([1, 0])
    assert taken.lengths.tolist() == [8, 5]
    assert taken.ids[1].tolist() == IDS[0]
    assert taken.types[0].tolist() == TYPES[1]


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 200))
def test_batches_hold_every_pair_once_by_length_within_the_budget_and_as_full_as_it_allows(
    lengths: list[int], budget: int
) -> None:
    arrays = [np.zeros(length, dtype=np.int32) for length in lengths]
    cut = TokenIds.of(arrays, arrays).batches(budget)
    assert sorted(index for batch in cut for index in batch.tolist()) == list(range(len(lengths)))
    order = [lengths[index] for batch in cut for index in batch]
    assert order == sorted(order)
    for batch, following in zip(cut, [*cut[1:], None][: len(cut)], strict=True):
        assert len(batch) == 1 or len(batch) * lengths[batch[-1]] <= budget
        if following is not None:
            assert (len(batch) + 1) * lengths[following[0]] > budget


def test_without_padding_a_batch_holds_pairs_of_one_length() -> None:
    ids = [np.arange(length, dtype=np.int32) for length in (3, 5, 3, 4, 5, 3)]
    tokens = TokenIds.of(ids, ids)
    assert [batch.tolist() for batch in tokens.batches(9, padded=False)] == [[0, 2, 5], [3], [1], [4]]
    assert [batch.tolist() for batch in tokens.batches(10, padded=False)] == [[0, 2, 5], [3], [1, 4]]
