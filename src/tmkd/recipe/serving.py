"""Parts of a recipe on serving: the student that is exported, and the questions answered by it (§1)."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal, Self

from pydantic import Field

from tmkd.recipe.parts import Name, Probability, Sources, SourceSpec, Spec


class ExportSpec(Spec):
    """Export for serving: a row's student, with the first seed, of the first task it is trained on."""

    row: Name = "tmkd"
    """Row whose student becomes `runs/NAME/bundle`."""
    pairs: int = Field(512, ge=1)
    """Training pairs by which int8 is calibrated: the first of the task."""
    checks: dict[Name, Sources] = Field({})
    """Name → files of further pairs on which the graphs are compared with the student."""
    force: bool = False
    """Ships an int8 graph that differs too much from the student, with its report; else it is left out."""
    compat: bool = False
    """Also writes a one-logit BERT, for CrossEncoder and rerank servers."""
    frontier: tuple[Name, ...] = ()
    """Rows that `tmkd frontier` compares in accuracy, pairs/s and latency."""
    budget_ms: float | None = Field(None, gt=0)
    """Latency budget in ms: marks the best of those rows by dev that ranks ten passages in it in 99 of 100 cases."""

    @property
    def named(self) -> list[tuple[str, str]]:
        """The rows it names, each with the key that names it."""
        return [("export.row", self.row), *(("export.frontier", name) for name in self.frontier)]

    def of_rows(self, rows: Container[str]) -> Self | None:
        """The same for some of the rows: those of the frontier that are there, and nothing without its own row."""
        frontier = tuple(name for name in self.frontier if name in rows)
        return self.model_copy(update={"frontier": frontier}) if self.row in rows else None


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
