"""transformers' Trainer around Eq. 5, with an optimiser step of ours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from tmkd import ranks
from tmkd.errors import TmkdError
from tmkd.network.device import on_device, token_budget
from tmkd.recipe.fit import FitSpec
from tmkd.train.hardware import Hardware
from tmkd.train.objective import objective
from tmkd.train.step_data import StepData, StepQueue

HeaderLogits = Callable[[nn.Module, dict[str, Tensor]], Tensor]
WEIGHTS = "model.safetensors"
LESS = "set device: cpu, or take a smaller model"


@dataclass(frozen=True)
class Training:
    """Choices of one fit beside its model and its examples: settings, α of Eq. 5, seed, device and precision.

    `soft_only`: a pair without a golden label has the teachers' loss alone; `masked`: a teacher may lack a score;
    `vote`: the teachers of a pair vote (`soft_loss`).
    `steps` are optimiser steps, taken instead of the settings' epochs.
    """

    settings: FitSpec
    alpha: float
    seed: int
    hardware: Hardware
    soft_only: bool = False
    masked: bool = False
    vote: bool = False
    steps: int | None = None

    @property
    def golden(self) -> bool:
        """True where there is a golden header: Eq. 5 gives its loss the weight 1 − α."""
        return self.alpha < 1


class HeaderOutputs(nn.Module):
    """Network whose output is its header logits alone: the module that DistributedDataParallel wraps."""

    def __init__(self, network: nn.Module, header_logits: HeaderLogits) -> None:
        super().__init__()
        self.network, self._header_logits = network, header_logits

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Header logits (pairs, headers, classes) of a micro-batch."""
        return self._header_logits(self.network, inputs)


class _EachStep(torch.utils.data.Sampler[int]):
    """Numbers of the steps in order, each once per rank: the Trainer deals them out to the ranks in turn."""

    def __init__(self, steps: int) -> None:
        self._steps, self._times = steps, ranks.count()

    def __len__(self) -> int:
        return self._steps * self._times

    def __iter__(self) -> Iterator[int]:
        return (number // self._times for number in range(len(self)))


class StepTrainer(Trainer):
    """Trainer with a step of ours: sorted by length, cut by the token budget, each part weighted by its pairs.

    Under torchrun each rank has its share of the step, and its gradients are reduced once, in the last part's backward.
    """

    def __init__(
        self,
        model: nn.Module,
        arguments: TrainingArguments,
        steps: int,
        header_logits: HeaderLogits,
        queue: StepQueue,
        training: Training,
    ) -> None:
        super().__init__(
            model=HeaderOutputs(model, header_logits),
            args=arguments,
            train_dataset=range(steps),
            data_collator=lambda items: {"step": items[0]},
        )
        self._queue, self._training = queue, training
        self._budget = token_budget(training.hardware.device, training.settings.token_budget)
        self.network = model
        self.losses: list[Tensor] = []  # of the steps that `Watch` has not read yet

    def _get_train_sampler(self, train_dataset: object = None) -> torch.utils.data.Sampler[int]:
        return _EachStep(self.args.max_steps)  # the plan has its own order

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # not counted

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: object = None) -> Tensor:
        """One optimiser step's forward and backward; returns the mean loss of its pairs, without waiting for it."""
        self.network.train()
        data = self._queue.take(inputs["step"])
        loss = self._backward(model, data)
        while loss is None:
            self._halve_budget(data)
            loss = self._backward(model, data)
        loss = ranks.mean(loss)
        self.losses.append(loss)
        return loss

    def _backward(self, model: nn.Module, data: StepData) -> Tensor | None:
        """Add the gradient of a step's mean loss; returns the loss, or None when the device's memory was too small.

        Of several ranks each has its part of the loss, and their mean is the step's; so it is with the gradients.
        """
        hardware, share = self._training.hardware, data.share
        total = torch.zeros((), device=hardware.device)
        parts = data.tokens.tokens.batches(self._budget)
        reduces = False
        try:
            for number, part in enumerate(parts, 1):
                inputs = data.tokens.pad(part)
                with self.accelerator.no_sync(model) if number < len(parts) else nullcontext():
                    with torch.autocast(hardware.device, torch.bfloat16, enabled=hardware.precision == "bf16"):
                        logits = model(inputs)
                    loss = self._loss(logits.float(), data, part).sum() * share.ranks / share.total
                    reduces = number == len(parts)
                    torch.autograd.backward(loss)
                total += loss.detach()
        except torch.OutOfMemoryError as error:
            if reduces and ranks.count() > 1:  # other ranks have its sums already
                raise TmkdError(
                    f"out of memory while gradients were reduced; take more processes, or {LESS}"
                ) from error
            return None
        return total

    def _halve_budget(self, data: StepData) -> None:
        """Halve the token budget for the rest of the fit, and say so on stderr."""
        if self._budget < 2 * int(data.tokens.tokens.lengths.min()):
            raise TmkdError(f"out of memory: the device does not hold the training on one pair; {LESS}")
        self._budget //= 2
        print(f"out of memory: token ids per micro-batch halved to {self._budget}", file=sys.stderr, flush=True)
        self.network.zero_grad()
        torch.cuda.empty_cache()

    def _loss(self, logits: Tensor, data: StepData, part: np.ndarray[Any, np.dtype[np.int64]]) -> Tensor:
        """Eq. 5 for some pairs of a step: logits (pairs, headers, classes) float32 → (pairs,)."""
        golden, pairs = self._training.golden, on_device(part, self._training.hardware.device)
        return objective(
            logits[:, 0] if golden else None,
            data.labels[pairs] if golden else None,
            logits[:, 1:] if golden else logits,
            None if data.soft is None else data.soft[pairs],
            self._training.alpha,
            self._training.masked,
            self._training.vote,
        )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = Path(output_dir or self.args.output_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self.network, str(folder / WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        safetensors.torch.load_model(model or self.network, Path(resume_from_checkpoint) / WEIGHTS)
