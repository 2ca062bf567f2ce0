"""Trainer callback: dev at the end of each epoch, progress lines, sealed checkpoints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from tmkd import ranks
from tmkd.errors import TmkdError
from tmkd.train import watch
from tmkd.train.batches import BatchPlan
from tmkd.train.checkpoints import MARKER, Best
from tmkd.train.watch import Follow, Watch, mean_losses, tensorboard

PLAN = BatchPlan(pairs=6, batch=2, epochs=2, seed=1)  # two epochs of three steps


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """(dev) → (the callback, a function that ends a step and returns the Trainer's control)."""
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])

    def start(dev: Callable[[], float] | None = None) -> tuple[Watch, Callable[..., TrainerControl]]:
        seen = Watch(nn.Linear(2, 1), PLAN, [], dev, Best(tmp_path), "web", started=0.0)
        seen.on_train_begin(arguments, TrainerState(global_step=0), TrainerControl())

        def end(step: int, loss: float = 0.5) -> TrainerControl:
            control = TrainerControl(should_save=True)
            seen.losses.append(torch.tensor(loss))  # as a step of the training does
            seen.on_step_end(arguments, TrainerState(global_step=step), control)
            if (tmp_path / f"checkpoint-{step}").is_dir():
                seen.on_save(arguments, TrainerState(global_step=step), control)
            return control

        return seen, end

    return start


def test_dev_is_measured_once_per_epoch_and_draws_no_random_numbers_of_the_training(started: Any) -> None:
    def dev() -> float:
        assert not seen.model.training
        return float(torch.rand(1))

    seen, end = started(dev)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    counts = []
    for step in range(1, 7):
        end(step)
        counts.append(len(seen.best.scores))
    assert counts == [0, 0, 1, 1, 1, 2]
    assert torch.equal(torch.rand(1), expected)
    end(3)  # after a restart from an older checkpoint
    assert len(seen.best.scores) == 2


def test_progress_has_the_mean_loss_since_the_line_before(
    started: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.0)
    _, end = started(lambda: 0.75)
    end(2)
    monkeypatch.setattr(watch, "EVERY", 1000.0)
    end(3, 1.0)
    monkeypatch.setattr(watch, "EVERY", 0.0)
    end(4, 2.0)
    told = capsys.readouterr()
    first, second = told.err.splitlines()
    assert told.out == ""
    assert first.startswith("web: step 2/6, ")
    assert ", loss 0.5000, " in first
    assert ", loss 1.5000, dev 0.7500, " in second


def test_losses_are_read_every_few_steps_at_the_end_of_an_epoch_and_before_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "READ_EVERY", 2)
    seen = Watch(nn.Linear(2, 1), PLAN, [], None, Best(tmp_path), "web", started=0.0)
    arguments, state = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[]), TrainerState()
    seen.on_train_begin(arguments, state, TrainerControl())
    waiting = []
    for step, saved in ((1, False), (2, False), (3, False), (4, True), (5, False)):
        state.global_step = step
        seen.losses.append(torch.tensor(float(step)))
        seen.on_step_end(arguments, state, TrainerControl(should_save=saved))
        waiting.append(len(seen.losses))
    assert waiting == [1, 0, 0, 0, 1]
    assert mean_losses(state.log_history) == [1.0, 2.0, 3.0, 4.0]


def test_the_first_loss_that_is_not_finite_is_named_whenever_it_is_read(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, end = started()
    seen.losses += [torch.tensor(1.0), torch.tensor(torch.inf)]
    with pytest.raises(TmkdError, match="the loss is inf at step 2; lower the learning rate"):
        end(3, torch.nan)


def test_between_two_lines_nothing_is_printed_but_for_the_last_step(
    started: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    _, end = started()
    for step in range(1, 7):
        end(step)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("web: step 6/6, ")


def test_the_last_step_is_not_saved_as_a_checkpoint(started: Any) -> None:
    _, end = started()
    assert [bool(end(step).should_save) for step in (5, 6)] == [True, False]


def test_a_checkpoint_is_sealed_when_it_is_saved(started: Any, tmp_path: Path) -> None:
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "model.safetensors").write_bytes(b"weights")
    _, end = started()
    end(2)
    marker = json.loads((tmp_path / "checkpoint-2" / MARKER).read_bytes())
    assert list(marker["files"]) == ["model.safetensors"]
    assert marker["seconds"] > 0


def test_curves_without_tensorboard_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TmkdError, match=r"tensorboard: true needs tensorboard: pip install 'tmkd\[tensorboard\]'"):
        tensorboard(tmp_path)


@pytest.mark.parametrize(("with_dev", "epochs_waited_for"), [(True, [3, 6]), (False, [])])
def test_another_rank_waits_for_dev_at_the_end_of_each_epoch_and_keeps_no_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_dev: bool, epochs_waited_for: list[int]
) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    losses: list[torch.Tensor] = []
    waited: list[int] = []
    follow, saves = Follow(PLAN, losses, with_dev), []
    for step in range(1, 7):
        monkeypatch.setattr(ranks, "receive", lambda step=step: waited.append(step))
        losses.append(torch.tensor(0.5))
        control = TrainerControl(should_save=True)
        follow.on_step_end(arguments, TrainerState(global_step=step), control)
        saves.append(control.should_save)
        assert not losses
    assert waited == epochs_waited_for
    assert saves == [True] * 5 + [False]  # as on rank 0


def test_a_checkpoint_is_sealed_once_every_rank_has_saved(
    started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoint-2"
    folder.mkdir()
    monkeypatch.setattr(ranks, "barrier", lambda: (folder / "rng_state_1.pth").write_bytes(b"late"))
    _, end = started()
    end(2)
    assert [*json.loads((folder / MARKER).read_bytes())["files"]] == ["rng_state_1.pth"]


def test_the_end_of_an_epoch_is_sent_to_the_other_ranks_whether_or_not_dev_was_measured_before(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(ranks, "send", sent.append)
    _, end = started(lambda: 0.5)
    for step in (1, 2, 3, 3):
        end(step)
    assert sent == [1, 1]
