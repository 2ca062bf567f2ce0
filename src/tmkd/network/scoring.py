"""Batched inference: token ids → logits of any network, in batches that depend on the pairs and the device alone."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.network.device import CUDA, on_device, scoring_budget
from tmkd.network.headers import Headers
from tmkd.network.token_tensors import TokenTensors

Forward = Callable[[dict[str, Tensor]], Tensor]

TOKEN_BUDGET = 2048  # padded token ids per batch on a CPU; measured on 2 cores, larger ones were no faster


def network_logits(
    network: nn.Module,
    forward: Callable[[nn.Module, dict[str, Tensor]], Tensor],
    tokens: TokenIds,
    pad_id: int,
    device: str,
    precision: str,
    done: Callable[[int], None] | None = None,
    padded: bool = True,
) -> np.ndarray:
    """Run a network in evaluation mode over pairs as `batched_logits` does; `forward` gets the network too.

    On CUDA in bf16 a copy with weights in bf16 works: autocast makes float32 of each LayerNorm's outputs, and the time
    of a layer is that of reading and writing them.
    """
    works, kept = network, precision
    if device == CUDA and precision == "bf16":
        works, kept = bf16_copy(network), "fp32"  # without autocast
    return batched_logits(lambda inputs: forward(works, inputs), tokens, pad_id, device, kept, done, padded)


def bf16_copy(network: nn.Module) -> nn.Module:
    """Copy a network with its weights in bf16, apart from a student's headers, whose logits have more digits."""
    copied = copy.deepcopy(network)
    for part in copied.children():
        if not isinstance(part, Headers):
            part.to(torch.bfloat16)
    return copied


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
    waiting = tokens.batches(scoring_budget(device, TOKEN_BUDGET), padded)[::-1]
    outputs: Tensor | None = None
    with torch.inference_mode():
        while waiting:
            pairs = waiting.pop()
            logits = _logits(forward, on_its_device, pairs, precision, padded)
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


def _logits(forward: Forward, tokens: TokenTensors, pairs: np.ndarray, precision: str, padded: bool) -> Tensor | None:
    """Outputs of one batch, float32; None when the device has too little memory for it."""
    try:
        inputs = tokens.pad(pairs, padded)
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
