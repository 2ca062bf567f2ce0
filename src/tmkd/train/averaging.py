"""Average of the weights of a fit's last steps (stochastic weight averaging, Izmailov et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

AVERAGE = "average.safetensors"  # in a checkpoint, beside the weights of its step


class WeightAverage(TrainerCallback):
    """Running mean of a model's weights after each of the last steps of a fit, one more copy of them.

    share: part of the steps, in (0, 1], at least one step; `checkpoint` is the one that the fit goes on from. It has to
    be called before `Watch`, which measures dev with it and seals the checkpoints.
    """

    def __init__(self, model: nn.Module, steps: int, share: float, checkpoint: Path | None) -> None:
        self._model, self._mean = model, AveragedModel(model)
        self._first = steps - max(1, round(share * steps)) + 1  # step, from 1, of the first weights
        if checkpoint is not None and (checkpoint / AVERAGE).is_file():
            safetensors.torch.load_model(self._mean, str(checkpoint / AVERAGE))
        self.steps = int(self._mean.n_averaged)  # whose weights are in the mean

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step >= self._first:
            self._mean.update_parameters(self._model)
            self.steps += 1

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if self.steps:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            safetensors.torch.save_model(self._mean, str(folder / AVERAGE))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the mean for a while; where there is none yet, its own weights."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    def exchange(self) -> None:
        """Exchange the model's weights and their mean; where there is none yet, nothing."""
        if self.steps:
            with torch.no_grad():  # in place: the optimiser has these tensors
                for weight, mean in zip(self._model.parameters(), self._mean.module.parameters(), strict=True):
                    own = weight.clone()
                    weight.copy_(mean)
                    mean.copy_(own)
