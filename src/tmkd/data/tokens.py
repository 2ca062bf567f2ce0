"""Token ids of many texts and of many pairs, unpadded, and padded batches of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class TextIds:
    """Token ids of single texts without special tokens: `flat_ids` int32 (ids,); equal texts may share their ids.

    `starts` and `lengths` int64 (texts,) are the place and the number of a text's ids.
    """

    flat_ids: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def take(self, indices: Sequence[int] | np.ndarray) -> TextIds:
        """Select texts by index, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return TextIds(self.flat_ids, self.starts[chosen], self.lengths[chosen])


@dataclass(frozen=True, eq=False)
class TokenIds:
    """Concatenated token ids and token types of pairs, without padding: `flat_ids`, `flat_types` int32 (ids,).

    `lengths` int64 (pairs,) is the number of ids per pair.
    """

    flat_ids: np.ndarray
    flat_types: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, ids: Sequence[np.ndarray], types: Sequence[np.ndarray]) -> TokenIds:
        """Concatenate one array of ids and one of types per pair."""
        none = np.empty(0, dtype=np.int32)
        flat_ids, flat_types = (np.concatenate([none, *arrays]).astype(np.int32) for arrays in (ids, types))
        return cls(flat_ids, flat_types, np.array([len(one) for one in ids], dtype=np.int64))

    @cached_property
    def starts(self) -> np.ndarray:
        """Start of each pair, int64 (pairs,)."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def ids(self) -> list[np.ndarray]:
        """Ids of each pair, int32."""
        return np.split(self.flat_ids, self.starts[1:]) if len(self.lengths) else []

    @property
    def types(self) -> list[np.ndarray]:
        """Token types of each pair, int32."""
        return np.split(self.flat_types, self.starts[1:]) if len(self.lengths) else []

    def take(self, indices: Sequence[int] | np.ndarray) -> TokenIds:
        """Select pairs by index, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[chosen]
        places = ragged_arange(self.starts[chosen], lengths)
        return TokenIds(self.flat_ids[places], self.flat_types[places], lengths)

    def pad(self, indices: Sequence[int] | np.ndarray, pad_id: int) -> dict[str, np.ndarray]:
        """Pad pairs to a batch: input_ids, attention_mask, token_type_ids, each int64 (pairs, longest pair)."""
        batch = self.take(indices)
        mask = np.arange(batch.lengths.max(initial=0)) < batch.lengths[:, None]
        input_ids = np.full(mask.shape, pad_id, dtype=np.int64)
        types = np.zeros(mask.shape, dtype=np.int64)
        input_ids[mask], types[mask] = batch.flat_ids, batch.flat_types
        return {"input_ids": input_ids, "attention_mask": mask.astype(np.int64), "token_type_ids": types}

    def batches(self, token_budget: int, padded: bool = True) -> list[np.ndarray]:
        """Sort pairs by length and split them into batches with pairs × longest in the budget: int64 indices.

        Without `padded` a batch holds pairs of one length.
        """
        order = np.argsort(self.lengths, kind="stable")
        ascending = self.lengths[order]
        cut: list[np.ndarray] = []
        start = 0
        while start < len(order):
            shortest = int(ascending[start])
            most = max(token_budget // shortest, 1) if shortest else len(order)
            if not padded:
                most = min(most, int(np.searchsorted(ascending, shortest, side="right")) - start)
            sizes = ascending[start : start + most] * np.arange(1, len(ascending[start : start + most]) + 1)
            end = start + max(int(np.searchsorted(sizes, token_budget, side="right")), 1)
            cut.append(order[start:end])
            start = end
        return cut


def ragged_arange(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Concatenate the ranges [starts[i], starts[i] + counts[i]), int64."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())
