"""Fits of tiny students, to be compared: in this process, or under torchrun in several.

    torchrun --nproc-per-node 2 tests/ranks_fit.py FOLDER [CALLS]

Of each of FITS rank 0 writes FOLDER/NAME.json, the loss of each step that was made now and the report, and
FOLDER/NAME.safetensors, the weights. Fits go on from FOLDER/work; with CALLS they end after so many micro-batches of a
rank, as if killed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from tiny_fit import BOTH, GOLDEN, LABELS, SETTINGS, SOFT, TOKENS, Killed, header_logits, killing_after, student, train
from tmkd import ranks
from tmkd.network import Student
from tmkd.train.batches import Examples
from tmkd.train.watch import Watch

PLAIN = SETTINGS.model_copy(update={"dropout": 0.0, "learning_rate": 3e-3})
ONE_PART = PLAIN.model_copy(update={"token_budget": 10_000})
GAPS = np.where(np.arange(len(LABELS))[:, None, None] % 5 == np.array([[0], [2]]), np.float32(np.nan), SOFT)
THREE = np.concatenate([SOFT, SOFT[:, :1] * -0.5], axis=1)
FITS: dict[str, dict[str, Any]] = {
    "golden": {"examples": GOLDEN},
    "stage 1": {"examples": BOTH, "alpha": 1.0},
    "stage 2, best by dev": {"examples": BOTH, "dev": True},
    "masked": {"examples": Examples(TOKENS, LABELS, 0, GAPS), "masked": True},
    "vote": {"examples": Examples(TOKENS, LABELS, 0, THREE), "vote": True},
    "averaged": {"examples": BOTH, "settings": PLAIN.model_copy(update={"average_last": 0.5}), "dev": True},
    "one part": {"examples": BOTH, "settings": ONE_PART},
    "unused weights": {"examples": BOTH, "unused": True},
    "little memory": {"examples": BOTH, "settings": ONE_PART, "little_memory": True},
}
Forward = Callable[[nn.Module, dict[str, Tensor]], Tensor]


def dev_of(model: Student) -> Callable[[], float]:
    """Dev score: a number that depends on the weights."""
    return lambda: float(model.headers.linears[0].get_parameter("weight").sum().detach())


def short_of_memory() -> Forward:
    """Forward pass for which the last rank's memory is too small, once."""
    left = iter([None] if ranks.rank() == ranks.count() - 1 else [])

    def forward(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        for _ in left:
            raise torch.OutOfMemoryError
        return header_logits(model, batch)

    return forward


def fit(folder: Path, name: str, calls: int | None = None) -> None:
    """Train one of FITS."""
    changes = {"settings": PLAIN, **FITS[name]}
    soft = changes["examples"].soft
    model = student((0 if soft is None else soft.shape[1]) + (changes.get("alpha", 0.5) < 1))
    if changes.pop("unused", False):
        model.register_parameter("unused", nn.Parameter(torch.ones(3)))
    if changes.pop("dev", False):
        changes["dev"] = dev_of(model)
    if calls is not None:
        changes["forward"] = killing_after(calls)
    if changes.pop("little_memory", False):
        changes["forward"] = short_of_memory()
    losses: dict[int, float] = {}
    keep = Watch._keep_loss

    def kept(self: Watch, state: Any, step: int, loss: float) -> None:
        losses[step] = loss
        keep(self, state, step, loss)

    Watch._keep_loss = kept  # type: ignore[method-assign]
    try:
        report = train(model, folder / "work" / name, **changes)
    finally:
        Watch._keep_loss = keep  # type: ignore[method-assign]
    if ranks.is_first():
        safetensors.torch.save_model(model, str(folder / f"{name}.safetensors"))
        (folder / f"{name}.json").write_text(json.dumps({"losses": [*losses.items()], "report": asdict(report)}))


def fit_all(folder: Path, calls: int | None = None) -> None:
    """Train all of FITS."""
    folder.mkdir(exist_ok=True)
    for name in FITS:
        try:
            fit(folder, name, calls)
        except Killed:
            continue


if __name__ == "__main__":
    torch.manual_seed(99)  # another process, another random state
    with ranks.command():
        fit_all(Path(sys.argv[1]), *map(int, sys.argv[2:]))
