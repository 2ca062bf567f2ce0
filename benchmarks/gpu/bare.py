"""Bare PyTorch training loop, the yardstick of ours: the same student, objective, batch and number format."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from benchmarks.gpu.made_up import Sizes
from torch import nn
from transformers import BertConfig, BertModel

from tmkd.train.batches import Examples
from tmkd.train.hardware import Hardware
from tmkd.train.objective import objective


def bare_loop(sizes: Sizes, layers: int, examples: Examples, alpha: float, batch: int, hardware: Hardware) -> float:
    """Train on consecutive batches, each padded to its longest pair; returns pairs/s after a tenth of the steps."""
    torch.backends.cuda.enable_cudnn_sdp(False)  # as in our loop: else it takes twice to five times as long
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.width,
        num_hidden_layers=layers,
        num_attention_heads=max(sizes.width // 32, 1),
        intermediate_size=4 * sizes.width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    headers = (alpha < 1) + (0 if examples.soft is None else examples.soft.shape[1])
    body = BertModel._from_config(config, attn_implementation="sdpa")
    model = nn.ModuleList([body, nn.Linear(sizes.width, 2 * headers)]).to(hardware.device).train()
    fused = hardware.device == "cuda"
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=fused)
    steps = len(examples) // batch
    first, begun = steps // 10, 0.0
    for step in range(steps):
        if step == first:
            begun = _now(hardware.device)
        _step(model, optimiser, examples, range(step * batch, (step + 1) * batch), alpha, hardware)
    return (steps - first) * batch / (_now(hardware.device) - begun)


def _step(
    model: nn.ModuleList,
    optimiser: torch.optim.Optimizer,
    examples: Examples,
    rows: Sequence[int],
    alpha: float,
    hardware: Hardware,
) -> None:
    body, headers = model
    inputs = {name: torch.from_numpy(array).to(hardware.device) for name, array in _padded(examples, rows).items()}
    with torch.autocast(hardware.device, torch.bfloat16, enabled=hardware.precision == "bf16"):
        vectors = body(**inputs).pooler_output
    logits = headers(vectors.float()).view(len(rows), -1, 2)
    golden = alpha < 1
    labels = torch.from_numpy(examples.labels[list(rows)]).to(hardware.device)
    soft = None if examples.soft is None else torch.from_numpy(examples.soft[list(rows)]).to(hardware.device)
    losses = objective(
        logits[:, 0] if golden else None,
        labels if golden else None,
        logits[:, 1:] if golden else logits,
        soft,
        alpha,
    )
    torch.autograd.backward(losses.mean())
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()


def _padded(examples: Examples, rows: Sequence[int]) -> dict[str, np.ndarray]:
    return examples.tokens.take(rows).pad(range(len(rows)), examples.pad_id)


def _now(device: str) -> float:
    """Wall clock after the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
