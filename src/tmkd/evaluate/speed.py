"""Pairs per second of any scorer, the paper's QPS (§4.2): "average number of cases processed per second"."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

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
            threads=_threads(),
            mean_tokens=scorer.mean_tokens(questions, passages),
            precision=scorer.precision,
        )
        for scorer in scorers
    }


def machine_line() -> str:
    """The machine in a line: processor model, cores this process may use; if torch is loaded, its threads and GPU."""
    parts = [_processor(), f"{_cores()} cores"]
    torch = sys.modules.get("torch")
    if torch is not None:
        parts += [f"{torch.get_num_threads()} threads", f"torch {torch.__version__}"]
        if torch.cuda.is_available():
            parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def _processor() -> str:
    try:
        facts = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        facts = ""
    models = [line.partition(":")[2].strip() for line in facts.splitlines() if line.startswith("model name")]
    return (models[0] if models else "") or platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> int:
    """Threads of the computation: torch's if it is loaded. It is not imported here: a bundle is timed without it."""
    torch = sys.modules.get("torch")
    return _cores() if torch is None else int(torch.get_num_threads())
