"""Batched inference: token ids → logits of any network, in batches that depend on the pairs alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tmkd.data.tokens import TokenIds

Forward = Callable[[dict[str, Tensor]], Tensor]

TOKEN_BUDGET = 2048  # padded token ids per batch; measured on 2 cores, larger ones were no faster


def batched_logits(
    forward: Forward,
    tokens: TokenIds,
    pad_id: int,
    device: str,
    precision: str,
    done: Callable[[int], None] | None = None,
    padded: bool = True,
) -> np.ndarray:
    """Run a network over pairs; returns its outputs in the order of the pairs, float32 (pairs, …).

    `forward` maps input_ids, attention_mask and token_type_ids, each (pairs, longest), to outputs whose first axis is
    pairs. `done` is called with the number of pairs of each batch. Without `padded` a batch holds pairs of one length.
    """
    parts: list[np.ndarray] = []
    order: list[np.ndarray] = []
    with torch.inference_mode():
        for indices in tokens.batches(TOKEN_BUDGET, padded):
            inputs = {name: torch.from_numpy(array).to(device) for name, array in tokens.pad(indices, pad_id).items()}
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                logits = forward(inputs)
            parts.append(logits.float().cpu().numpy())
            order.append(indices)
            if done is not None:
                done(len(indices))
    sorted_outputs = np.concatenate(parts)
    outputs = np.empty_like(sorted_outputs)
    outputs[np.concatenate(order)] = sorted_outputs
    return outputs
