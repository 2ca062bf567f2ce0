"""Batched inference: token ids → logits of any network, in batches that depend on the pairs and the device alone."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.network.device import on_device, token_budget
from tmkd.network.token_tensors import TokenTensors

Forward = Callable[[dict[str, Tensor]], Tensor]

TOKEN_BUDGET = 2048  # padded token ids per batch on a CPU; measured on 2 cores, larger ones were no faster


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
    On CUDA nothing waits for the device but the copy of all outputs at the end.
    Raises: TmkdError when the device's memory does not hold one pair.
    """
    on_its_device = TokenTensors.of(tokens, pad_id, device)
    waiting = tokens.batches(token_budget(device, TOKEN_BUDGET), padded)[::-1]
    outputs: Tensor | None = None
    with torch.inference_mode():
        while waiting:
            pairs = waiting.pop()
            logits = _logits(forward, on_its_device, pairs, precision)
            if logits is None:
                waiting = _halves([*waiting, pairs])
                continue
            if outputs is None:
                outputs = torch.empty(len(tokens.lengths), *logits.shape[1:], device=logits.device)
            outputs[on_device(pairs, device)] = logits
            if done is not None:
                done(len(pairs))
    if outputs is None:
        raise ValueError("there is no pair to score")
    return outputs.cpu().numpy()


def _logits(forward: Forward, tokens: TokenTensors, pairs: np.ndarray, precision: str) -> Tensor | None:
    """Outputs of one batch, float32; None when the device has too little memory for it."""
    try:
        inputs = tokens.pad(pairs)
        with torch.autocast(tokens.device, torch.bfloat16, enabled=precision == "bf16"):
            return forward(inputs).float()
    except torch.OutOfMemoryError:
        return None


def _halves(batches: list[np.ndarray]) -> list[np.ndarray]:
    """Cut batches in halves after the last of them was too large for the device's memory, and say so on stderr."""
    pairs = len(batches[-1])
    if pairs == 1:
        raise TmkdError("out of memory: the device does not hold one pair; set device: cpu, or a smaller max_length")
    print(f"out of memory: batches of {pairs} pairs are halved", file=sys.stderr, flush=True)
    torch.cuda.empty_cache()
    return [half for batch in batches for half in reversed(np.array_split(batch, 2)) if len(half)]
