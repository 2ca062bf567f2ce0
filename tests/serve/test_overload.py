"""The backlog: the rate, what may wait, and refused clients that come again as they are told."""

from __future__ import annotations

import math
import random

import pytest

from tmkd.bundle.fair_queue import FairQueue
from tmkd.serve.overload import Backlog


class Counts:
    """What a backlog reads of a queue."""

    threads = 2

    def __init__(self) -> None:
        self.computed_tokens, self.busy_seconds = 0, 0.0
        self.waiting_tokens, self.most_waiting = 0.0, 1 << 20

    def compute(self, tokens: int, seconds: float) -> None:
        self.computed_tokens += tokens
        self.busy_seconds += seconds


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def backlog(rate: float = 10_000.0, seconds: float = 2.0) -> tuple[Backlog, Counts, Clock]:
    """A backlog whose queue has computed at this rate."""
    counts, clock = Counts(), Clock()
    counts.compute(int(rate * 5), 5.0 * counts.threads)
    queue: FairQueue = counts  # type: ignore[assignment]
    return Backlog(queue, seconds, clock), counts, clock


def test_the_rate_is_that_of_all_threads() -> None:
    one, counts, _ = backlog(rate=10_000)
    assert one.rate == pytest.approx(10_000)
    assert counts.most_waiting == 20_000
    counts.compute(100_000, 100.0)  # 1,000 a second and thread
    assert one.measure() == pytest.approx(2_000, rel=0.01)


def test_nothing_new_leaves_the_rate_as_it_is() -> None:
    one, _, _ = backlog()
    assert one.measure() == one.measure() == pytest.approx(10_000)


def test_a_slow_machine_lets_some_tokens_wait() -> None:
    _, counts, _ = backlog(rate=10)
    assert counts.most_waiting == 8192


def test_a_refused_client_is_told_when_the_queue_has_room() -> None:
    one, counts, _ = backlog(rate=10_000)
    counts.waiting_tokens = 20_000
    assert one.full
    refusal = one.refusal(1000)
    assert refusal.status == 429
    assert refusal.headers == {"Retry-After": "2", "retry-after-ms": "2000"}


def test_seconds_are_rounded_up() -> None:
    one, counts, _ = backlog(rate=10_000)
    counts.waiting_tokens = 12_345
    headers = one.refusal(1000).headers
    assert headers == {"Retry-After": "2", "retry-after-ms": "1235"}


def test_the_next_refused_client_is_told_to_come_later() -> None:
    one, counts, clock = backlog(rate=10_000)
    counts.waiting_tokens = 20_000
    waits = [int(one.refusal(1000).headers["retry-after-ms"]) for _ in range(3)]
    assert waits == [2000, 2400, 2800]
    clock.now += 10
    counts.waiting_tokens = 20_000
    assert int(one.refusal(1000).headers["retry-after-ms"]) == 2000  # their turns have passed


def test_nobody_is_told_to_wait_for_more_than_a_minute() -> None:
    one, counts, _ = backlog(rate=10_000)
    counts.waiting_tokens = 20_000
    waits = [int(one.refusal(100_000).headers["retry-after-ms"]) for _ in range(20)]
    assert max(waits) == 60_000


def simulated(seconds: float, offered: float, size: int = 500, burst: float = 3.0) -> tuple[int, int]:
    """Clients of a burst, then of new load at a share of the capacity: those refused once, and those refused again.

    A queue that computes at its rate, 1 ms a step; a refused client comes again as told and up to 20 % later.
    """
    one, counts, clock = backlog()
    chance = random.Random(1)
    returning: list[tuple[float, int]] = []
    first = second = 0

    def arrive(tries: int) -> None:
        nonlocal first, second
        if not one.full:
            counts.waiting_tokens += size
            return
        wait = int(one.refusal(size).headers["retry-after-ms"]) / 1000
        first, second = first + (tries == 1), second + (tries == 2)
        if tries == 1:
            returning.append((clock.now + wait * (1 + 0.2 * chance.random()), 2))

    for _ in range(int(burst * counts.most_waiting / size)):
        arrive(1)
    due = clock.now
    for _ in range(int(seconds * 1000)):
        clock.now += 0.001
        counts.waiting_tokens = max(counts.waiting_tokens - one.rate / 1000, 0)
        for when, tries in [one for one in returning if one[0] <= clock.now]:
            returning.remove((when, tries))
            arrive(tries)
        while due <= clock.now:
            due += -math.log(1 - chance.random()) * size / (offered * one.rate)
            arrive(1)
    return first, second


def test_after_a_burst_clients_that_wait_as_told_get_through_at_their_second_try() -> None:
    refused, again = simulated(seconds=60, offered=0.7)
    assert refused > 50
    assert again <= 0.05 * refused
