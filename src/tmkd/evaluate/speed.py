"""Wall time of calls; pairs per second of scorers, the paper's QPS (§4.2: "cases processed per second")."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from tmkd.machine import threads

if TYPE_CHECKING:
    from tmkd.evaluate.scorers import Scorer

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Speed:
    """Median speed of `repeats` runs over `pairs` pairs, tokenising included, and the conditions of the measurement.

    The scorer gets `batch` pairs at a time; `mean_tokens` is token ids per pair without padding.
    """

    pairs_per_second: float
    pairs: int
    repeats: int
    batch: int
    threads: int
    mean_tokens: float
    precision: str


def wall_time(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(calls: Mapping[Key, Callable[[], object]], repeats: int) -> dict[Key, list[float]]:
    """Seconds of each call, `repeats` times. The calls take turns, so that other load slows all of them alike."""
    times: dict[Key, list[float]] = {key: [] for key in calls}
    for _ in range(repeats):
        for key, call in calls.items():
            times[key].append(wall_time(call))
    return times


def measure(
    scorers: Sequence[Scorer], questions: Sequence[str], passages: Sequence[str], repeats: int, batch: int
) -> dict[str, Speed]:
    """Speed of each scorer by name, on the same pairs, in turns, after a warm-up on one batch.

    Raises: ValueError without pairs or with two scorers of one name.
    """
    if not questions or len(questions) != len(passages):
        raise ValueError(f"{len(questions)} questions and {len(passages)} passages cannot be timed")
    if len({scorer.name for scorer in scorers}) != len(scorers):
        raise ValueError(f"scorers share a name: {', '.join(scorer.name for scorer in scorers)}")
    for scorer in scorers:
        scorer.probabilities(questions[:batch], passages[:batch])

    def score_all(scorer: Scorer) -> None:
        for first in range(0, len(questions), batch):
            scorer.probabilities(questions[first : first + batch], passages[first : first + batch])

    times = in_turns({scorer.name: partial(score_all, scorer) for scorer in scorers}, repeats)
    return {
        scorer.name: Speed(
            pairs_per_second=len(questions) / median(times[scorer.name]),
            pairs=len(questions),
            repeats=repeats,
            batch=batch,
            threads=threads(),
            mean_tokens=scorer.mean_tokens(questions, passages),
            precision=scorer.precision,
        )
        for scorer in scorers
    }
