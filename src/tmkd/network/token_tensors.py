"""Token ids on a device, and batches padded there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tmkd.data.tokens import TokenIds
from tmkd.network.device import length_multiple, on_device


@dataclass(frozen=True, eq=False)
class TokenTensors:
    """Token ids of pairs on one device, unpadded; `tokens` are the same in the processor's memory.

    ids, types int32 (ids,); starts, lengths int64 (pairs,); `pad_id` fills batches up.
    """

    tokens: TokenIds
    ids: Tensor
    types: Tensor
    starts: Tensor
    lengths: Tensor
    pad_id: int
    device: str

    @classmethod
    def of(cls, tokens: TokenIds, pad_id: int, device: str) -> Self:
        """Copy the token ids of pairs to a device, without waiting for it."""
        ids, types = on_device(tokens.flat_ids, device), on_device(tokens.flat_types, device)
        starts, lengths = on_device(tokens.starts, device), on_device(tokens.lengths, device)
        return cls(tokens, ids, types, starts, lengths, pad_id, device)

    def pad(self, pairs: np.ndarray, rounded: bool = True) -> dict[str, Tensor]:
        """Pad pairs to a batch: input_ids, attention_mask, token_type_ids, each int64 (pairs, longest pair).

        On CUDA the longest pair's length is rounded up (`length_multiple`), if `rounded`. pairs: int64 (pairs,).
        """
        multiple = length_multiple(self.device) if rounded else 1
        longest = -(-int(self.tokens.lengths[pairs].max(initial=0)) // multiple) * multiple
        chosen, place = on_device(pairs, self.device), torch.arange(longest, device=self.device)
        mask = place < self.lengths[chosen][:, None]
        at = (self.starts[chosen][:, None] + place).clamp_(max=max(len(self.ids) - 1, 0))
        return {
            "input_ids": torch.where(mask, self.ids[at], self.pad_id).long(),
            "attention_mask": mask.long(),
            "token_type_ids": torch.where(mask, self.types[at], 0).long(),
        }
