"""Average of the weights of the last steps: which steps, the exchange, the copy in a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import TrainerControl, TrainerState, TrainingArguments

from tiny_fit import BOTH, SETTINGS, STEPS, Killed, killing_after, same, student, train
from tmkd.train.averaging import AVERAGE, WeightAverage


def weight(model: nn.Linear) -> float:
    return float(model.weight.detach())


def averaged(
    folder: Path, model: nn.Linear, share: float, steps: list[int], checkpoint: Path | None = None
) -> WeightAverage:
    """An average over steps of ten, each of which leaves its number as the weight."""
    average, arguments = WeightAverage(model, 10, share, checkpoint), TrainingArguments(str(folder), use_cpu=True)
    for step in steps:
        with torch.no_grad():
            model.weight.fill_(step)
        average.on_step_end(arguments, TrainerState(global_step=step), TrainerControl())
        if (folder / f"checkpoint-{step}").is_dir():
            average.on_save(arguments, TrainerState(global_step=step), TrainerControl())
    return average


@pytest.mark.parametrize(
    ("share", "mean"),
    [(0.2, 9.5), (0.5, 8.0), (1.0, 5.5), (0.25, 9.5), (0.01, 10.0)],  # of 9, 10; 6 to 10; 1 to 10; 9, 10; 10 alone
)
def test_the_mean_is_that_of_the_last_steps_weights(tmp_path: Path, share: float, mean: float) -> None:
    model = nn.Linear(1, 1, bias=False)
    average = averaged(tmp_path, model, share, list(range(1, 11)))
    with average.applied():
        assert weight(model) == pytest.approx(mean)
    assert weight(model) == 10
    average.exchange()
    assert weight(model) == pytest.approx(mean)


def test_before_the_last_steps_the_model_has_its_own_weights(tmp_path: Path) -> None:
    model = nn.Linear(1, 1, bias=False)
    with averaged(tmp_path, model, 0.2, list(range(1, 9))).applied():
        assert weight(model) == 8


def test_a_checkpoint_has_the_mean_once_there_is_one(tmp_path: Path) -> None:
    for step in (8, 9):
        (tmp_path / f"checkpoint-{step}").mkdir()
    averaged(tmp_path, nn.Linear(1, 1, bias=False), 0.2, list(range(1, 10)))
    assert not (tmp_path / "checkpoint-8" / AVERAGE).exists()
    model = nn.Linear(1, 1, bias=False)
    with averaged(tmp_path, model, 0.2, [10], tmp_path / "checkpoint-9").applied():
        assert weight(model) == pytest.approx(9.5)


AVERAGED = SETTINGS.model_copy(update={"average_last": 0.5})  # steps 7 to 12 of 12


def test_a_fit_ends_with_the_mean_and_trains_as_without(tmp_path: Path) -> None:
    plain, model, seen = student(3), student(3), list[list[Tensor]]()
    without = train(plain, tmp_path / "plain", BOTH)
    hook = register_optimizer_step_post_hook(
        lambda optimiser, *_: seen.append([one.detach().clone() for one in model.parameters()])
    )
    try:
        report = train(model, tmp_path / "averaged", BOTH, settings=AVERAGED)
    finally:
        hook.remove()
    assert report.losses == without.losses
    assert len(seen) == STEPS
    for place, (found, last) in enumerate(zip(model.parameters(), plain.parameters(), strict=True)):
        torch.testing.assert_close(found.detach(), torch.stack([one[place] for one in seen[6:]]).mean(dim=0))
        assert torch.equal(seen[-1][place], last)


def test_dev_measures_the_mean_from_its_first_step_on(tmp_path: Path) -> None:
    model, scores = student(1), iter([0.2, 0.5, 0.9])
    measured: list[Tensor] = []

    def of(network: nn.Module) -> Tensor:
        return next(network.parameters()).detach().clone()

    def dev() -> float:
        measured.append(of(model))
        return next(scores)

    report = train(model, tmp_path / "averaged", dev=dev, settings=AVERAGED)
    assert report.best_epoch == 3
    assert torch.equal(of(model), measured[2])
    plain, unaveraged = student(1), iter([0.2, 0.5, 0.9])
    epochs: list[Tensor] = []

    def plain_dev() -> float:
        epochs.append(of(plain))
        return next(unaveraged)

    train(plain, tmp_path / "plain", dev=plain_dev)
    # Epochs end with steps 4, 8 and 12: the first one is over before the average begins.
    assert [torch.equal(one, other) for one, other in zip(measured, epochs, strict=True)] == [True, False, False]


# Checkpoints are due after steps 3, 6, 9; only the last one has a mean.
@pytest.mark.parametrize("calls", [9, 20, 26])
@pytest.mark.parametrize("choosing", [False, True])
def test_killed_and_called_again_it_ends_with_the_same_mean(tmp_path: Path, calls: int, choosing: bool) -> None:
    def weights(folder: Path, kill: bool) -> nn.Module:
        model = student(3)

        def dev() -> float:
            return float(next(model.parameters()).detach().sum())

        chosen = dev if choosing else None
        if kill:
            with pytest.raises(Killed):
                train(model, folder, BOTH, settings=AVERAGED, dev=chosen, forward=killing_after(calls))
            assert bool(list(folder.glob(f"checkpoint-*/{AVERAGE}"))) is (calls > 15)
            return weights(folder, kill=False)
        train(model, folder, BOTH, settings=AVERAGED, dev=chosen)
        return model

    assert same(weights(tmp_path / "killed", kill=True), weights(tmp_path / "whole", kill=False))
