"""Rough cost of work before it starts: seconds of training and scoring on a CPU, bytes of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmkd.machine import cores
from tmkd.pretrained.find import model_config

# Pairs/s of a 12-layer, 768-wide encoder on one core at 64 token ids in bf16; other models are scaled from it. Measured
# on 2 cores (docs/log.md): 65 and 300 with 6 layers of width 384, 100 trained with 3.
_TRAINED_PER_CORE = 3.3
_SCORED_PER_CORE = 15.0
_BASE_WORK = 12 * 768 * 768

Sizes = Mapping[str, int]  # corpus → its pairs


@dataclass(frozen=True)
class Estimate:
    """Cost of a step: pairs it works on, seconds, bytes on disk; all rough."""

    pairs: int
    seconds: float
    bytes: int


def training_seconds(model: Path, layers: int | None, pairs: int) -> float:
    """Seconds to train a model folder, or its bottom `layers`, on so many pairs, each epoch's counted."""
    return pairs / _TRAINED_PER_CORE / cores() * _work(model, layers)


def scoring_seconds(model: Path, layers: int | None, pairs: int) -> float:
    """Seconds to score so many pairs with a model folder, or its bottom `layers`."""
    return pairs / _SCORED_PER_CORE / cores() * _work(model, layers)


def weight_bytes(model: Path) -> int:
    """Bytes of a model folder's weights."""
    return sum(path.stat().st_size for path in model.glob("*.safetensors"))


def _work(model: Path, layers: int | None) -> float:
    """Arithmetic of a model per token as a share of BERT-base's."""
    config = model_config(model)
    depth = layers or _number(config, "num_hidden_layers", "n_layer") or 12
    width = _number(config, "hidden_size", "n_embd") or 768
    return float(depth * width * width / _BASE_WORK)


def _number(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of these settings that is a whole number."""
    found = (config.get(name) for name in names)
    return next((value for value in found if isinstance(value, int)), None)
