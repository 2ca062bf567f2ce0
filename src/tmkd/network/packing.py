"""The real tokens of a padded batch: without its padding, and padded again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Packing:
    """Places of the real tokens in a padded batch, int64 (tokens,), and of each pair's first one among the real."""

    pairs: int
    longest: int
    places: Tensor
    firsts: Tensor

    @classmethod
    def of(cls, attention_mask: Tensor) -> Self:
        """Packing of a batch whose mask, int64 (pairs, longest), is 1 at its real tokens; the padding comes last."""
        lengths = attention_mask.sum(dim=1)
        pairs, longest = attention_mask.shape
        return cls(pairs, longest, attention_mask.flatten().nonzero().squeeze(1), lengths.cumsum(0) - lengths)

    def pack(self, states: Tensor) -> Tensor:
        """Leave the padding out: (pairs, longest, width) → (tokens, width)."""
        return states.flatten(0, 1).index_select(0, self.places)

    def pad(self, states: Tensor) -> Tensor:
        """Pad with zeros: (tokens, width) → (pairs, longest, width)."""
        empty = states.new_zeros(self.pairs * self.longest, states.shape[1])
        return empty.index_copy(0, self.places, states).view(self.pairs, self.longest, -1)
