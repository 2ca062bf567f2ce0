"""Trainer callback: seals checkpoints, measures dev per epoch, prints progress."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tmkd import ranks
from tmkd.errors import TmkdError, optional_import
from tmkd.progress import clock
from tmkd.train.averaging import WeightAverage
from tmkd.train.batches import BatchPlan
from tmkd.train.checkpoints import Best, seal

READ_EVERY = 16  # steps between two readings of their losses: a reading waits for the device
EVERY = 5.0  # seconds between two progress lines
TENTHS = 10  # parts of a training of which the mean loss is kept


class Watch(TrainerCallback):
    """Seals each checkpoint, measures `dev` at each epoch's end, and prints progress on stderr.

    `losses` is filled by the training, a scalar per step on its device, and read and emptied here every few steps;
    `started` is when the fit would have begun had it never been interrupted (time.monotonic). Dev is measured with the
    `average` of the weights where there is one, and its weights are those that may be kept.
    Raises: TmkdError when a loss that is read is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        steps: BatchPlan,
        losses: list[Tensor],
        dev: Callable[[], float] | None,
        best: Best,
        title: str,
        started: float,
        average: WeightAverage | None = None,
    ) -> None:
        self.model, self.steps, self.losses, self.dev, self.best = model, steps, losses, dev, best
        self.title, self.started, self.average = title, started, average
        self.unprinted: list[float] = []  # losses since the last progress line
        self.first, self.begun, self.printed, self.waited = 0, 0.0, 0.0, 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.first, self.begun, self.printed = state.global_step, time.monotonic(), time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        step = state.global_step
        epoch = self.steps.ended(step)
        print_now = time.monotonic() - self.printed >= EVERY or step == len(self.steps)
        if len(self.losses) >= READ_EVERY or print_now or epoch is not None or control.should_save:
            self._read_losses(state)
        if self.dev is not None and epoch is not None:
            if len(self.best.scores) < epoch:
                self._measure(self.dev)
            ranks.send(epoch)
        if print_now:
            self._print_progress(step)
        if step == len(self.steps):
            control.should_save = False  # the caller is about to save the model itself

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        ranks.barrier()  # each rank has its random state in the checkpoint
        seal(Path(args.output_dir) / f"checkpoint-{state.global_step}", time.monotonic() - self.started)

    def _read_losses(self, state: TrainerState) -> None:
        """Read the losses of the last steps, the newest of which is done."""
        losses: list[float] = torch.stack(self.losses).tolist()
        self.losses.clear()
        for step, loss in enumerate(losses, state.global_step - len(losses) + 1):
            if not math.isfinite(loss):
                raise TmkdError(f"the loss is {loss} at step {step}; lower the learning rate")
            self._keep_loss(state, step, loss)
        self.unprinted += losses

    def _keep_loss(self, state: TrainerState, step: int, loss: float) -> None:
        """Add a step's loss to its tenth of the training, in the part of the state that checkpoints carry."""
        tenth = TENTHS * (step - 1) // len(self.steps)
        kept = next((one for one in reversed(state.log_history) if "tenth" in one), None)
        if kept is None or kept["tenth"] != tenth:
            kept = {"tenth": tenth, "total": 0.0, "steps": 0}
            state.log_history.append(kept)
        kept["total"] += loss
        kept["steps"] += 1

    def _measure(self, dev: Callable[[], float]) -> None:
        begun = time.monotonic()
        self.model.eval()
        weights = nullcontext() if self.average is None else self.average.applied()
        with weights, torch.random.fork_rng(), torch.no_grad():  # whether dev is measured must not move the training
            self.best.record(float(dev()), self.model)
        self.waited += time.monotonic() - begun

    def _print_progress(self, step: int) -> None:
        self.printed = time.monotonic()
        speed = (step - self.first) / max(self.printed - self.begun - self.waited, 1e-9)  # steps/s of training itself
        dev = f", dev {self.best.scores[-1]:.4f}" if self.best.scores else ""
        line = (
            f"{self.title}: step {step}/{len(self.steps)}, {speed * self.steps.batch:.1f} pairs/s, "
            f"loss {np.mean(self.unprinted):.4f}{dev}, {clock((len(self.steps) - step) / speed)} left"
        )
        print(line, file=sys.stderr, flush=True)
        self.unprinted.clear()


class Follow(TrainerCallback):
    """Counterpart of `Watch` on the other ranks: waits where rank 0 measures dev, and for a checkpoint to be sealed."""

    def __init__(self, steps: BatchPlan, losses: list[Tensor], with_dev: bool) -> None:
        self.steps, self.losses, self.with_dev = steps, losses, with_dev

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.losses.clear()
        if self.with_dev and self.steps.ended(state.global_step) is not None:
            ranks.receive()
        if state.global_step == len(self.steps):
            control.should_save = False

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        ranks.barrier()


def mean_losses(history: Sequence[Mapping[str, float]]) -> list[float]:
    """Mean loss of each tenth of a training, from the history that `Watch` kept."""
    return [one["total"] / one["steps"] for one in history if "tenth" in one]


def tensorboard(folder: Path) -> TrainerCallback:
    """TensorBoard curves: loss, learning rate, gradient norm.  Raises: TmkdError when TensorBoard is not installed."""
    with optional_import("tensorboard: true needs", "tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations.integration_utils import TensorBoardCallback
    return TensorBoardCallback(SummaryWriter(folder))
