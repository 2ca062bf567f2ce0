"""Speed: the order of the calls, the median, the conditions beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from tmkd.evaluate import speed
from tmkd.evaluate.speed import in_turns, measure


class Clock:
    """Time that passes only when a scorer works."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@dataclass
class Worker:
    """A scorer that takes the given seconds for each run, one second for a warm-up."""

    name: str
    clock: Clock
    seconds: list[float]
    log: list[tuple[str, int]]
    parameters: int = 1
    bytes: int = 1
    precision: str = "fp32"
    done: int = field(default=-1, init=False)

    def probabilities(self, questions: Sequence[str], passages: Sequence[str]) -> np.ndarray:
        self.log.append((self.name, len(questions)))
        self.clock.now += ([*self.seconds, 0.0][self.done // 2] / 2) if self.done >= 0 else 1.0
        self.done += 1
        return np.full((len(questions), 2), 0.5)

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        return 61.5


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(speed, "time", ticking)
    return ticking


def test_the_median_of_interleaved_runs_after_a_warm_up(clock: Clock) -> None:
    log: list[tuple[str, int]] = []
    workers = [Worker("a", clock, [2.0, 50.0, 1.0], log), Worker("b", clock, [4.0, 4.0, 4.0], log)]
    found = measure(workers, ["q"] * 6, ["p"] * 6, repeats=3, batch=4)
    assert (found["a"].pairs_per_second, found["b"].pairs_per_second) == (3.0, 1.5)
    turn = [("a", 4), ("a", 2), ("b", 4), ("b", 2)]
    assert log == [("a", 4), ("b", 4), *turn, *turn, *turn]
    it = found["a"]
    assert (it.pairs, it.repeats, it.batch, it.mean_tokens, it.precision) == (
        6,
        3,
        4,
        61.5,
        "fp32",
    )
    assert it.threads >= 1


def test_calls_take_turns_and_each_has_its_own_times(clock: Clock) -> None:
    order: list[str] = []

    def call(name: str, seconds: float) -> None:
        order.append(name)
        clock.now += seconds

    times = in_turns({"a": lambda: call("a", 2.0), "b": lambda: call("b", 3.0)}, repeats=2)
    assert times == {"a": [2.0, 2.0], "b": [3.0, 3.0]}
    assert order == ["a", "b", "a", "b"]


def test_nothing_to_time_and_one_name_twice_are_refused(clock: Clock) -> None:
    worker = Worker("a", clock, [1.0], [])
    with pytest.raises(ValueError, match="cannot be timed"):
        measure([worker], [], [], 1, 4)
    with pytest.raises(ValueError, match="share a name"):
        measure([worker, worker], ["q"], ["p"], 1, 4)
