"""Settings of the training of one model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tmkd.recipe.parts import Probability, Spec

Keep = Literal["accuracy", "cross_entropy"]


class FitSpec(Spec):
    """Training of one model (§4.4): AdamW; with golden labels, the epoch that is best on dev is kept."""

    learning_rate: float = Field(1e-4, gt=0, lt=1)
    """Highest learning rate, reached after the warm-up; from there it falls linearly to 0."""
    batch: int = Field(32, ge=1)
    """Pairs per optimiser step."""
    epochs: int = Field(3, ge=1)
    """Passes over the pairs."""
    # Left out of settings while it is the default, as a source's layout.
    keep: Keep = Field("accuracy", exclude_if=lambda keep: keep == "accuracy")
    """Measure on dev whose best epoch is kept."""
    average_last: Probability = Field(0.0, exclude_if=lambda share: not share)
    """Share of the steps, the last ones, whose weights are averaged: the mean is what dev measures and what is kept."""
    warmup: Probability = 0.1
    """Share of all optimiser steps in which the learning rate rises."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    clip: float = Field(1.0, gt=0)
    """Norm to which the gradient of a step is clipped."""
    dropout: Probability | None = None
    """Dropout in training. Without it: the encoder's own."""
    token_budget: int = Field(2048, ge=1)
    """Token ids per micro-batch, padding included: bounds memory, and leaves `batch` as it is. CUDA has its own."""
    checkpoint_steps: int = Field(100, ge=1)
    """Optimiser steps between two checkpoints: the most that a kill costs. Makes nothing stale."""
    tensorboard: bool = False
    """Writes curves to `.tensorboard/` in the step's folder; needs the extra of that name. Makes nothing stale."""
