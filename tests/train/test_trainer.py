from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.utils.data import BatchSampler

from tiny_fit import BOTH, SETTINGS, header_logits, student, train
from tmkd import ranks
from tmkd.errors import TmkdError
from tmkd.network import token_tensors
from tmkd.network.device import fuse_attention
from tmkd.train import loop, trainer

TEN_STEPS = SETTINGS.model_copy(update={"batch": 11, "epochs": 5, "dropout": 0.0})  # a mean loss for each


def test_what_a_cuda_device_does_otherwise_leaves_the_losses_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train(student(3, layers=3), tmp_path / "plain", BOTH, settings=TEN_STEPS)
    monkeypatch.setattr(loop, "place", lambda model, device: fuse_attention(model))
    monkeypatch.setattr(trainer, "token_budget", lambda device, on_cpu: 80_000)
    monkeypatch.setattr(token_tensors, "length_multiple", lambda device: 8)
    model, shapes = student(3, layers=3), set[int]()

    def forward(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        shapes.add(batch["input_ids"].shape[1])
        return header_logits(network, batch)

    fused = train(model, tmp_path / "fused", BOTH, settings=TEN_STEPS, forward=forward)
    assert model.encoder.config._attn_implementation == "sdpa"
    assert shapes <= {8, 16}
    assert len(fused.losses) == 10
    assert fused.losses == pytest.approx(plain.losses, abs=1e-3)


def out_of_memory_above(ids: int) -> Any:
    def forward(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        if batch["input_ids"].numel() > ids:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return header_logits(network, batch)

    return forward


def test_out_of_memory_halves_the_budget_once_for_all_and_leaves_the_step_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = TEN_STEPS.model_copy(update={"token_budget": 100})
    plain = train(student(3), tmp_path / "plain", BOTH, settings=settings)
    capsys.readouterr()
    scarce = train(student(3), tmp_path / "scarce", BOTH, settings=settings, forward=out_of_memory_above(30))
    told = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert told == [f"out of memory: token ids per micro-batch halved to {budget}" for budget in (50, 25)]
    assert scarce.losses == pytest.approx(plain.losses, abs=1e-4)


def test_a_device_that_does_not_hold_one_pair_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one_step = SETTINGS.model_copy(update={"batch": len(BOTH), "token_budget": 256})
    with pytest.raises(TmkdError, match="does not hold the training on one pair; set device: cpu"):
        train(student(3), tmp_path, BOTH, settings=one_step, forward=out_of_memory_above(3))
    budgets, shortest = [256], int(BOTH.tokens.lengths.min())
    while budgets[-1] >= 2 * shortest:  # a smaller budget would be the same: no batch is smaller than a pair
        budgets.append(budgets[-1] // 2)
    told = [line for line in capsys.readouterr().err.splitlines() if "halved" in line]
    assert told == [f"out of memory: token ids per micro-batch halved to {budget}" for budget in budgets[1:]]


def test_a_device_that_does_not_hold_the_optimiser_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(TmkdError, match="web: out of memory: the device does not hold the model's training"):
        train(student(1), tmp_path)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_rank_is_dealt_every_step_in_order(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(ranks, "count", lambda: count)
    sampler = trainer._EachStep(5)
    assert len(sampler) == 5 * count
    for rank in range(count):  # as accelerate deals batches out
        dealt = BatchSamplerShard(BatchSampler(sampler, 1, drop_last=False), count, rank)
        assert [*chain.from_iterable(dealt)] == [0, 1, 2, 3, 4]
        assert len(dealt) == 5


def test_memory_that_is_too_small_where_gradients_are_reduced_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backward(loss: Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ranks, "count", lambda: 2)
    monkeypatch.setattr(torch.autograd, "backward", backward)
    with pytest.raises(TmkdError, match="out of memory while gradients were reduced; take more processes, or"):
        train(student(3), tmp_path, BOTH, settings=TEN_STEPS.model_copy(update={"token_budget": 10_000}))
