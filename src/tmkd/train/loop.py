"""Fit of a teacher or a student: Eq. 5 over all steps, resumed where it was stopped."""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import torch
from torch import nn
from transformers import PrinterCallback, TrainingArguments

from tmkd import ranks
from tmkd.errors import TmkdError
from tmkd.network.device import place
from tmkd.store import digest_json
from tmkd.train.averaging import WeightAverage
from tmkd.train.batches import BatchPlan, Examples
from tmkd.train.checkpoints import Best, claim_workdir, newest
from tmkd.train.step_data import StepQueue
from tmkd.train.trainer import LESS, HeaderLogits, StepTrainer, Training
from tmkd.train.watch import Follow, Watch, mean_losses, tensorboard

_CHECKED = 1 << 16  # pairs whose logits are looked at at once
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
    last ones. With `average_last` the mean of the last steps' weights takes the place of the weights in both, from the
    first of these steps on. The model ends on the training's device, in eval mode. A CUDA device that runs out of
    memory gets smaller micro-batches; the step stays the same. Under torchrun all ranks call this and train together,
    and rank 0 has the report and the kept weights: the other ranks' report is empty.
    Raises: TmkdError for a golden loss on an unlabelled pair, a teacher logit that is not finite, a loss that diverges,
    a disk that is full or a device that does not hold one pair.
    """
    settings, is_first = training.settings, ranks.is_first()
    ranks.join(training.hardware.device, training.hardware.precision)
    place(model, training.hardware.device)
    checkpoint, seconds = ranks.from_first(lambda: _begin(model, examples, training, work, title))
    started = time.monotonic() - seconds
    steps = BatchPlan(len(examples), settings.batch, settings.epochs, training.seed, training.steps)
    best = Best(work)
    arguments = _arguments(training, len(steps), work)
    with _dropout(model, settings.dropout), StepQueue(examples, steps, training.hardware.device) as queue:
        trainer = StepTrainer(model, arguments, len(steps), header_logits, queue, training)
        trainer.remove_callback(PrinterCallback)  # it prints to stdout
        average = None
        if settings.average_last and is_first:
            average = WeightAverage(model, len(steps), settings.average_last, Path(checkpoint) if checkpoint else None)
            trainer.add_callback(average)
        if is_first:
            trainer.add_callback(Watch(model, steps, trainer.losses, dev, best, title, started, average))
        else:
            trainer.add_callback(Follow(steps, trainer.losses, dev is not None))
            torch.manual_seed(training.seed + (ranks.rank() << 32))  # else all ranks had the same dropout
        if settings.tensorboard and is_first:
            trainer.add_callback(tensorboard(work.parent / ".tensorboard"))  # `work` goes when the fit is done
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
                trainer.train(resume_from_checkpoint=checkpoint)
        except torch.OutOfMemoryError as error:
            raise TmkdError(f"{title}: out of memory: the device does not hold the model's training; {LESS}") from error
        except (OSError, RuntimeError, safetensors.SafetensorError) as error:
            if isinstance(error, RuntimeError) and not any(word in str(error) for word in FAILED_WRITE):
                raise
            raise TmkdError(f"{work}: a checkpoint cannot be written: {error}") from error
    if not is_first:
        return FitReport([], 0, trainer.state.global_step, 0.0, training.hardware.precision, [])
    if dev is not None:
        best.load_into(model)
    elif average is not None:
        average.exchange()
    model.eval()
    epoch = steps.epochs if dev is None else best.epoch
    seconds = time.monotonic() - started
    losses = mean_losses(trainer.state.log_history)
    return FitReport(best.scores, epoch, trainer.state.global_step, seconds, training.hardware.precision, losses)


def _begin(
    model: nn.Module, examples: Examples, training: Training, work: Path, title: str
) -> tuple[str | None, float]:
    """Check a fit and claim its folder; returns the checkpoint to go on from, and the seconds trained until it."""
    _check(examples, training, title)
    claim_workdir(work, _fingerprint(model, examples, training))
    checkpoint, seconds = newest(work) or (None, 0.0)
    return None if checkpoint is None else str(checkpoint), seconds


def _check(examples: Examples, training: Training, title: str) -> None:
    if not len(examples):
        raise TmkdError(f"{title}: there is no pair to train on")
    unlabelled = np.flatnonzero(examples.labels < 0)
    if training.golden and len(unlabelled) and not training.soft_only:
        raise TmkdError(
            f"{title}: pair {unlabelled[0] + 1} has no label, and alpha {training.alpha} asks for the golden loss; "
            "label it or set alpha: 1"
        )
    soft = np.empty(0) if examples.soft is None else examples.soft
    for start in range(0, len(soft), _CHECKED):
        scored = np.asarray(np.isfinite(soft[start : start + _CHECKED]).all(axis=2))
        broken = np.flatnonzero(~(scored.any(axis=1) if training.masked else scored.all(axis=1)))
        if len(broken):
            raise TmkdError(f"{title}: a teacher has no finite logit for pair {start + broken[0] + 1}; score it again")


def _fingerprint(model: nn.Module, examples: Examples, training: Training) -> str:
    """Digest of a fit: its settings, its pairs and targets, the weights it starts from."""
    content = hashlib.sha256()
    tokens = examples.tokens
    for array in (tokens.flat_ids, tokens.starts, tokens.lengths, examples.labels, examples.soft):
        content.update(b"" if array is None else np.ascontiguousarray(array).data)
    for name, tensor in model.state_dict().items():
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    chosen = training.settings.model_dump(exclude={"checkpoint_steps", "tensorboard"})
    own = [chosen, training.golden, training.alpha, training.seed, training.hardware.precision, training.steps]
    voted = ["vote"] if training.vote else []  # left out without: an interrupted fit of before goes on
    return digest_json([*own, *voted, content.hexdigest()])


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
        logging_nan_inf_filter=False,  # it would wait for the device at each step
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        ddp_broadcast_buffers=False,  # they never change, and a forward pass may be repeated on one rank alone
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
