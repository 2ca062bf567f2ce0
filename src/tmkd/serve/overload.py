"""Overload: the rate of computing, how much may wait, and when a refused client should come again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from tmkd.bundle.fair_queue import FairQueue
from tmkd.serve.refusal import Refusal

_LEAST_WAITING = 8192  # token ids that may always wait
_RETURNING = 0.25  # share of the rate for clients that come again: beside them others come for the first time
_LONGEST_WAIT = 60.0  # seconds that a client is told to wait at most


class Backlog:
    """Backlog of a queue: the measured rate in tokens/s, what waits, and the places of the clients refused so far.

    Refused clients that all came again at the same time would be refused again: each is told to wait until those
    before it have had their turn.
    """

    def __init__(self, queue: FairQueue, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue, self._seconds, self._clock = queue, seconds, clock
        self._computed, self._busy = 0, 0.0
        self._last_place = 0.0  # when the last refused client's turn has passed
        self.rate = 0.0  # tokens/s of all threads together; 0 until something was computed
        self.measure()

    def measure(self) -> float:
        """Measure the rate, in tokens/s: a mean over about the last second that the threads were busy."""
        computed, busy = self._queue.computed_tokens, self._queue.busy_seconds
        seconds = busy - self._busy
        if seconds > 0 and computed > self._computed:
            now = self._queue.threads * (computed - self._computed) / seconds
            self.rate += (now - self.rate) * (1 - math.exp(-seconds)) if self.rate else now
            self._computed, self._busy = computed, busy
            self._queue.most_waiting = max(int(self.rate * self._seconds), _LEAST_WAITING)
        return self.rate

    @property
    def full(self) -> bool:
        """Whether a further request is refused."""
        return self._queue.waiting_tokens >= self._queue.most_waiting

    def refusal(self, tokens: int) -> Refusal:
        """Refusal of a request of so many tokens, with the time after which to come again."""
        rate, now = max(self.measure(), 1.0), self._clock()
        begins = max(now + self._queue.waiting_tokens / rate, self._last_place)
        self._last_place = min(begins + tokens / (_RETURNING * rate), now + _LONGEST_WAIT)
        wait = max(min(begins, self._last_place) - now, 0.001)
        return Refusal(
            429,
            "Overloaded",
            f"{self._queue.waiting_tokens} tokens are waiting; come again in {wait:.3f} s",
            {"Retry-After": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(1000 * wait))},
        )
