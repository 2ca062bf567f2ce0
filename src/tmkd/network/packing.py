"""The real tokens of a padded batch: without its padding, and padded again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

# Rows of a packed batch come in multiples: oneDNN prepares a product anew for each number of rows that it has not seen,
# which costs more than the rows that are filled up (docs/log.md).
_MULTIPLE = 32


@dataclass(frozen=True, eq=False)
class Packing:
    """Places of the real tokens in a padded batch, int64 (rows,), and of each pair's first one among them.

    The first `tokens` rows are the real tokens; some more, copies whose values nothing reads, fill a multiple.
    """

    pairs: int
    longest: int
    tokens: int
    places: Tensor
    firsts: Tensor

    @classmethod
    def of(cls, attention_mask: Tensor) -> Self:
        """Packing of a batch whose mask, int64 (pairs, longest), is 1 at its real tokens; the padding comes last."""
        lengths = attention_mask.sum(dim=1)
        pairs, longest = attention_mask.shape
        real = attention_mask.flatten().nonzero().squeeze(1)
        places = torch.cat([real, real.new_zeros(-len(real) % _MULTIPLE)])
        return cls(pairs, longest, len(real), places, lengths.cumsum(0) - lengths)

    def pack(self, states: Tensor) -> Tensor:
        """Leave the padding out: (pairs, longest, width) → (rows, width)."""
        return states.flatten(0, 1).index_select(0, self.places)

    def pad(self, states: Tensor) -> Tensor:
        """Pad with zeros: (rows, width) → (pairs, longest, width)."""
        empty = states.new_zeros(self.pairs * self.longest, states.shape[1])
        real, places = states[: self.tokens], self.places[: self.tokens]
        return empty.index_copy(0, places, real).view(self.pairs, self.longest, -1)
