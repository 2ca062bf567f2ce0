"""Pairs per second of any scorer, the paper's QPS (§4.2): "average number of cases processed per second"."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tmkd.machine import threads

if TYPE_CHECKING:
    from tmkd.evaluate.scorers import Scorer


@dataclass(frozen=True, slots=True)
class Speed:
    """Median speed of `repeats` runs over `pairs` pairs, tokenising included, and what it was measured with.

    `batch` pairs are handed over at a time; `mean_tokens` is ids per pair without padding.
    """

    pairs_per_second: float
    pairs: int
    repeats: int
    batch: int
    threads: int
    mean_tokens: float
    precision: str


def measure(
    scorers: Sequence[Scorer], questions: Sequence[str], passages: Sequence[str], repeats: int, batch: int
) -> dict[str, Speed]:
    """Time scorers on the same pairs, by name: each warmed up on a batch, then in turns, so that noise hits all alike.

    Raises: ValueError without pairs or with two scorers of one name.
    """
    if not questions or len(questions) != len(passages):
        raise ValueError(f"{len(questions)} questions and {len(passages)} passages cannot be timed")
    if len({scorer.name for scorer in scorers}) != len(scorers):
        raise ValueError(f"scorers share a name: {', '.join(scorer.name for scorer in scorers)}")
    seconds: dict[str, list[float]] = {scorer.name: [] for scorer in scorers}
    for scorer in scorers:
        scorer.probabilities(questions[:batch], passages[:batch])
    for _ in range(repeats):
        for scorer in scorers:
            start = time.perf_counter()
            for first in range(0, len(questions), batch):
                scorer.probabilities(questions[first : first + batch], passages[first : first + batch])
            seconds[scorer.name].append(time.perf_counter() - start)
    return {
        scorer.name: Speed(
            pairs_per_second=len(questions) / median(seconds[scorer.name]),
            pairs=len(questions),
            repeats=repeats,
            batch=batch,
            threads=threads(),
            mean_tokens=scorer.mean_tokens(questions, passages),
            precision=scorer.precision,
        )
        for scorer in scorers
    }
