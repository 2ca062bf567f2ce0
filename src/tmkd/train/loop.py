"""Training loop of teachers and students: transformers' Trainer around Eq. 5."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainingArguments

from tmkd.errors import TmkdError
from tmkd.recipe.parts import FitSpec
from tmkd.store import digest_json
from tmkd.train.batches import BatchPlan, Examples
from tmkd.train.checkpoints import Best, claim_workdir, newest
from tmkd.train.hardware import Hardware
from tmkd.train.objective import objective
from tmkd.train.watch import Watch, mean_losses, tensorboard

HeaderLogits = Callable[[nn.Module, dict[str, Tensor]], Tensor]
WEIGHTS = "model.safetensors"
FAILED_WRITE = ("inline_container", "PytorchStreamWriter")  # in the message of torch.save when the disk is full


@dataclass(frozen=True)
class FitReport:
    """Result of a fit: each epoch's dev score, the epoch kept (from 1), optimiser steps, wall seconds over restarts.

    `losses` are the mean losses of each tenth of the steps.
    """

    dev: list[float]
    best_epoch: int
    steps: int
    seconds: float
    precision: str
    losses: list[float]


@dataclass(frozen=True)
class Training:
    """Choices of one fit beside its model and its examples: settings, α of Eq. 5, seed, device and precision."""

    settings: FitSpec
    alpha: float
    seed: int
    hardware: Hardware

    @property
    def golden(self) -> bool:
        """True where there is a golden header: Eq. 5 gives its loss the weight 1 − α."""
        return self.alpha < 1


def fit(
    model: nn.Module,
    header_logits: HeaderLogits,
    examples: Examples,
    training: Training,
    *,
    work: Path,
    dev: Callable[[], float] | None,
    title: str,
) -> FitReport:
    """Train `model` in place on Eq. 5; killed and called again, it goes on from the last checkpoint in `work`.

    `header_logits` maps the model and a micro-batch (input_ids, attention_mask, token_type_ids: int64 (pairs, longest))
    to (pairs, headers, classes); with α < 1 header 0 is the golden one; the others follow `examples.soft`. `dev`
    scores the model as it is (higher is better) after each epoch and the best epoch's weights are kept; without it, the
    last ones. The model ends on the training's device, in eval mode.
    Raises: TmkdError for a golden loss on an unlabelled pair, a teacher logit that is not finite, a loss that diverges
    or a disk that is full.
    """
    settings = training.settings
    _check(examples, training, title)
    model.to(training.hardware.device)
    claim_workdir(work, _fingerprint(model, examples, training))
    checkpoint, seconds = newest(work) or (None, 0.0)
    started = time.monotonic() - seconds
    steps = BatchPlan(len(examples), settings.batch, settings.epochs, training.seed)
    best = Best(work)
    arguments = _arguments(training, len(steps), work)
    with _dropout(model, settings.dropout):
        trainer = _Loop(model, arguments, steps, header_logits, examples, training)
        trainer.remove_callback(PrinterCallback)  # it prints to stdout
        trainer.add_callback(Watch(model, steps, trainer.losses, dev, best, title, started))
        if settings.tensorboard:
            trainer.add_callback(tensorboard(work.parent / ".tensorboard"))  # `work` goes when the fit is done
        try:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except (OSError, RuntimeError, safetensors.SafetensorError) as error:
            if isinstance(error, RuntimeError) and not any(word in str(error) for word in FAILED_WRITE):
                raise
            raise TmkdError(f"{work}: a checkpoint cannot be written: {error}") from error
    if dev is not None:
        best.load_into(model)
    model.eval()
    epoch = settings.epochs if dev is None else best.epoch
    seconds = time.monotonic() - started
    losses = mean_losses(trainer.state.log_history)
    return FitReport(best.scores, epoch, trainer.state.global_step, seconds, training.hardware.precision, losses)


def _check(examples: Examples, training: Training, title: str) -> None:
    if not len(examples):
        raise TmkdError(f"{title}: there is no pair to train on")
    unlabelled = np.flatnonzero(examples.labels < 0)
    if training.golden and len(unlabelled):
        raise TmkdError(
            f"{title}: pair {unlabelled[0] + 1} has no label, and alpha {training.alpha} asks for the golden loss; "
            "label it or set alpha: 1"
        )
    if examples.soft is not None:
        broken = np.flatnonzero(~np.isfinite(examples.soft).all(axis=(1, 2)))
        if len(broken):
            raise TmkdError(f"{title}: a teacher has no finite logit for pair {broken[0] + 1}; score it again")


def _fingerprint(model: nn.Module, examples: Examples, training: Training) -> str:
    """Digest of a fit: its settings, its pairs and targets, the weights it starts from."""
    content = hashlib.sha256()
    for array in (examples.tokens.flat_ids, examples.tokens.lengths, examples.labels, examples.soft):
        content.update(b"" if array is None else np.ascontiguousarray(array).data)
    for name, tensor in model.state_dict().items():
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    chosen = training.settings.model_dump(exclude={"checkpoint_steps", "tensorboard"})
    own = [chosen, training.golden, training.alpha, training.seed, training.hardware.precision]
    return digest_json([*own, content.hexdigest()])


def _arguments(training: Training, steps: int, work: Path) -> TrainingArguments:
    """Settings of the Trainer: its batch is one optimiser step of ours, its epoch the whole fit."""
    settings = training.settings
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=1,
        max_steps=steps,
        learning_rate=settings.learning_rate,
        warmup_steps=math.ceil(settings.warmup * steps),
        lr_scheduler_type="linear",
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        optim="adamw_torch_fused",
        seed=training.seed,
        use_cpu=training.hardware.device == "cpu",
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        save_total_limit=2,
        logging_strategy="steps" if settings.tensorboard else "no",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one device: else a step would go to all of them, and its size be multiplied
    return arguments


@contextmanager
def _dropout(model: nn.Module, probability: float | None) -> Iterator[None]:
    """Replace every dropout probability of the model for the time of a fit; its configuration keeps the model's own."""
    places = [
        (module, name)
        for module in model.modules()
        for name in ("p" if isinstance(module, nn.Dropout) else "attention_dropout",)  # some modules keep a bare number
        if probability is not None and isinstance(vars(module).get(name), float | int)
    ]
    own = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, probability)
    try:
        yield
    finally:
        for (module, name), value in zip(places, own, strict=True):
            setattr(module, name, value)


class _Loop(Trainer):
    """Trainer with a step of ours: sorted by length, cut by the token budget, each part weighted by its pairs."""

    def __init__(
        self,
        model: nn.Module,
        arguments: TrainingArguments,
        steps: BatchPlan,
        header_logits: HeaderLogits,
        examples: Examples,
        training: Training,
    ) -> None:
        super().__init__(
            model=model, args=arguments, train_dataset=steps, data_collator=lambda items: {"rows": items[0]}
        )
        self._header_logits, self._examples, self._training = header_logits, examples, training
        self.network, self._steps = model, steps
        self.losses: list[float] = []  # of the steps since the last progress line

    def _get_train_sampler(self, train_dataset: object = None) -> torch.utils.data.Sampler[int]:
        return torch.utils.data.SequentialSampler(self._steps)  # it has its own order

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # not counted

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: object = None) -> Tensor:
        """One optimiser step's forward and backward; returns the mean loss of its pairs."""
        self.network.train()
        rows = inputs["rows"]
        tokens = self._examples.tokens.take(rows)
        device, bf16 = self.args.device, self._training.hardware.precision == "bf16"
        total = torch.zeros((), device=device)
        for part in tokens.batches(self._training.settings.token_budget):
            padded = tokens.pad(part, self._examples.pad_id)
            batch = {name: torch.from_numpy(array).to(device) for name, array in padded.items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = self._header_logits(self.network, batch)
            loss = self._loss(logits.float(), rows[part]).sum() / len(rows)
            torch.autograd.backward(loss)
            total += loss.detach()
        self.losses.append(total.item())
        if not math.isfinite(self.losses[-1]):
            raise TmkdError(
                f"the loss is {self.losses[-1]} at step {self.state.global_step + 1}; lower the learning rate"
            )
        return total

    def _loss(self, logits: Tensor, rows: np.ndarray[Any, np.dtype[np.int64]]) -> Tensor:
        """Eq. 5 for some pairs: logits (pairs, headers, classes) float32 → (pairs,)."""
        soft = None if self._examples.soft is None else torch.from_numpy(self._examples.soft[rows]).to(logits.device)
        golden = self._training.golden
        return objective(
            logits[:, 0] if golden else None,
            torch.from_numpy(self._examples.labels[rows]).to(logits.device) if golden else None,
            logits[:, 1:] if golden else logits,
            soft,
            self._training.alpha,
        )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = Path(output_dir or self.args.output_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self.network, str(folder / WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        safetensors.torch.load_model(model or self.network, Path(resume_from_checkpoint) / WEIGHTS)
