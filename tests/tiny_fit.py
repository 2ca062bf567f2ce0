"""A fit of a student of width 16 on 21 pairs, in 12 steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tmkd.data.labels import LabelSet
from tmkd.data.tokens import TokenIds
from tmkd.network import Student, StudentConfig
from tmkd.network.headers import Header
from tmkd.recipe.fit import FitSpec
from tmkd.train.batches import Examples
from tmkd.train.hardware import Hardware
from tmkd.train.loop import FitReport, fit
from tmkd.train.trainer import Training

PAIRS, STEPS = 21, 12  # batches of 6: 4 steps an epoch, the last of 3 pairs
SETTINGS = FitSpec(learning_rate=1e-2, batch=6, epochs=3, token_budget=30, checkpoint_steps=3)
WORLD = np.random.default_rng(0)
IDS = [WORLD.integers(5, 40, size=WORLD.integers(4, 12)).astype(np.int32) for _ in range(PAIRS)]
TOKENS = TokenIds.of(IDS, [np.zeros_like(one) for one in IDS])
LABELS = np.array([int(one[1] > 20) for one in IDS], dtype=np.int64)
SOFT = np.stack([np.array([[0, one[1] - 20], [1, one[2] / 10]], dtype=np.float32) / np.float32(10) for one in IDS])
GOLDEN = Examples(TOKENS, LABELS, 0)
BOTH = Examples(TOKENS, LABELS, 0, SOFT)


class Killed(BaseException):
    """As if the process were gone."""


def student(headers: int, dropout: float = 0.1, layers: int = 1) -> Student:
    encoder = {
        "model_type": "bert",
        "vocab_size": 40,
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 16,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
    }
    named = [Header(f"web/{number}", None) for number in range(headers)]
    torch.manual_seed(1)
    return Student(StudentConfig.of(encoder, "pooler", LabelSet("web", ("no", "yes"), "yes"), named, 16))


def header_logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    logits: Tensor = model(**batch).header_logits
    return logits


def killing_after(calls: int) -> Callable[[nn.Module, dict[str, Tensor]], Tensor]:
    left = iter(range(calls))

    def forward(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        if next(left, None) is None:
            raise Killed
        return header_logits(model, batch)

    return forward


def train(model: nn.Module, work: Path, examples: Examples = GOLDEN, **changes: Any) -> FitReport:
    training = Training(
        changes.pop("settings", SETTINGS),
        changes.pop("alpha", 0.0 if examples.soft is None else 0.5),
        changes.pop("seed", 3),
        hardware=Hardware(changes.pop("device", "cpu"), changes.pop("precision", "fp32")),
        soft_only=changes.pop("soft_only", False),
        masked=changes.pop("masked", False),
        vote=changes.pop("vote", False),
        steps=changes.pop("steps", None),
    )
    forward, dev = changes.pop("forward", header_logits), changes.pop("dev", None)
    assert not changes
    return fit(model, forward, examples, training, work=work, dev=dev, title="web")


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
