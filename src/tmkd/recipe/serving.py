"""Part of a recipe on serving: questions answered offline, and those ranked on the fly (§1)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tmkd.recipe.parts import Name, Probability, SourceSpec, Spec


class PrecisionSpec(Spec):
    """Threshold found on dev: the smallest score from which on answers have a precision."""

    precision: float = Field(0.9, gt=0, le=1)
    """Share of relevant passages among dev's pairs with the threshold's score or a higher one."""


class ServeSpec(Spec):
    """Serving of `export.row` (§1): head questions by look-up of answers computed offline, others ranked on the fly."""

    collect: Name
    """Stage-1 corpus whose index is searched."""
    questions: Literal["head", "all"] | SourceSpec = "head"
    """Questions answered offline: those of the head (without a split: all), `all` of the corpus, or a file."""
    top: int = Field(10, ge=1)
    """Documents retrieved per question; the best passage of each is a candidate."""
    keep: int = Field(5, ge=1, le=15)
    """Answers kept per question, the best ones."""
    threshold: Probability | PrecisionSpec = PrecisionSpec()
    """Smallest score of an answer: a number, or the precision that it must have on dev."""
    deadline_ms: float | None = Field(None, gt=0)
    """Latency budget of a question in ms: candidates not scored in it follow in retrieval order. Without it: none."""
