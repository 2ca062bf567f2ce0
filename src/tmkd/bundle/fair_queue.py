"""Fair queue of scoring requests: parts of a few pairs, in turns over the requests, computed by a thread per core."""

from __future__ import annotations

import math
import os
import queue
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tmkd.data.tokens import TokenIds
from tmkd.machine import cores

MOST_PAIRS = 64  # of one part
MOST_WAITING = 1 << 20  # token ids: with as many waiting, a further request waits; `most_waiting` of a queue may differ

Logits = npt.NDArray[np.float32]


class GraphRunner(Protocol):
    """Scorer of one part at a time on the calling thread; safe to call from several threads."""

    classes: int

    def parts(self, tokens: TokenIds, threads: int) -> Sequence[npt.NDArray[np.integer]]:
        """Split pairs into parts of at most MOST_PAIRS: the indices of each, in the order to run."""

    def logits(self, tokens: TokenIds) -> Logits:
        """Logarithm of Eq. 6, float32 (pairs, classes)."""


@dataclass(eq=False)
class _Request:
    """Pairs of one caller, the parts not yet begun, and the number of parts not yet done."""

    tokens: TokenIds
    parts: deque[npt.NDArray[np.integer]]
    logits: Logits
    undone: int  # 0 or less once the answer is given
    taken: int = 0
    future: Future[Logits] = field(default_factory=Future)


class FairQueue:
    """Queue of requests for the logits of pairs; `threads` parts (default: one per core) are computed side by side.

    Each free thread takes a part of the request whose turn it is; a turn has as many parts as a small request. So a
    small one is done in one turn, and never waits for all of a large one. Safe to call from several threads, from
    asyncio (`asyncio.wrap_future(queue.submit(…, block=False))`), and in a forked process, which begins with an empty
    queue and threads of its own.
    """

    def __init__(self, runner: GraphRunner, threads: int | None = None) -> None:
        self.runner = runner
        self.threads = threads or cores()
        self.most_waiting = MOST_WAITING
        self.niceness = 0  # of the threads that compute, above their process's (Linux): others then go before them
        # A small request is done in one turn: in more, all that wait would end late.
        self._turn_parts = 1 if self.threads == 1 else math.ceil(1.5 * self.threads)
        self._own = threading.local()
        self._forks = 0
        self._begin()
        _follow_forks(self)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._requests: deque[_Request] = deque()
        self._running = 0
        self.waiting_tokens = 0
        self.computed_tokens = 0  # since the start, by all threads
        self.busy_seconds = 0.0  # that the threads took, added up: the rate is threads × tokens ÷ seconds
        # Starts its threads when parts come, and ends them with this queue.
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="tmkd")

    @property
    def waiting_requests(self) -> int:
        """Number of requests with parts not yet begun."""
        return len(self._requests)

    def logits(self, tokens: TokenIds) -> Logits:
        """Logarithm of Eq. 6, float32 (pairs, classes); the calling thread waits. Raises: what the runner raises."""
        future = self.submit(tokens)
        try:
            return future.result()
        finally:
            future.cancel()  # the waiting was interrupted: the parts not yet begun are withdrawn

    def submit(self, tokens: TokenIds, block: bool = True) -> Future[Logits]:
        """Queue a request. Its future's `cancel()` withdraws the parts not yet begun; a failed part withdraws them too.

        Where `most_waiting` token ids wait already, waits until fewer do. Raises: queue.Full then, without `block`.
        """
        parts = deque(self.runner.parts(tokens, self.threads))
        logits = np.empty((len(tokens.lengths), self.runner.classes), dtype=np.float32)
        request = _Request(tokens, parts, logits, len(parts))
        if not parts:
            request.future.set_result(logits)
            return request.future
        with self._changed:
            if not block and self.waiting_tokens >= self.most_waiting:
                raise queue.Full
            self._changed.wait_for(lambda: self.waiting_tokens < self.most_waiting)
            self._requests.append(request)
            self.waiting_tokens += int(tokens.lengths.sum())
            for _ in parts:
                self._pool.submit(self._turn)  # which part a thread computes is chosen when its turn comes
        request.future.add_done_callback(lambda _: self._withdraw(request))
        return request.future

    def _turn(self) -> None:
        """Compute one part of the request whose turn it is."""
        self._be_nice()
        with self._changed:
            self._changed.wait_for(lambda: not self._forks)
            if not self._requests:  # the part was withdrawn
                return
            request = self._requests[0]
            part = request.parts.popleft()
            request.taken += 1
            if not request.parts:
                self._requests.popleft()
            elif request.taken % self._turn_parts == 0:
                self._requests.rotate(-1)
            tokens = int(request.tokens.lengths[part].sum())
            self.waiting_tokens -= tokens
            self._running += 1
            self._changed.notify_all()
        error, started = None, time.perf_counter()
        try:
            request.logits[part] = self.runner.logits(request.tokens.take(part))
        except BaseException as raised:
            error = raised
        with self._changed:
            self._running -= 1
            self.computed_tokens += tokens
            self.busy_seconds += time.perf_counter() - started
            ended = request.undone > 0 and (error is not None or request.undone == 1)
            request.undone = 0 if ended else request.undone - 1
            self._changed.notify_all()
        if ended and request.future.set_running_or_notify_cancel():
            if error is None:
                request.future.set_result(request.logits)
            else:
                self._withdraw(request)  # before the caller knows: what it reads of the queue then is true
                request.future.set_exception(error)

    def _be_nice(self) -> None:
        """Give the calling thread the queue's niceness; the kernel has one for each thread on Linux alone."""
        more = self.niceness - getattr(self._own, "niceness", 0)
        if more > 0 and sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + more)  # 0: the calling thread
            self._own.niceness = self.niceness

    def _withdraw(self, request: _Request) -> None:
        """Take a request's parts that are not yet begun out of the queue."""
        with self._changed:
            if request in self._requests:
                self._requests.remove(request)
                self.waiting_tokens -= sum(int(request.tokens.lengths[part].sum()) for part in request.parts)
                self._changed.notify_all()

    def _before_fork(self) -> None:
        """Let the parts under way end, and no other begin: what they lock in a library stays locked in the child."""
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: not self._running)

    def _after_fork_in_parent(self) -> None:
        with self._changed:
            self._forks = max(self._forks - 1, 0)  # a queue that was made during the fork never counted it
            self._changed.notify_all()

    def _after_fork_in_child(self) -> None:
        """Begin anew: neither the parent's threads nor its callers are here."""
        self._forks = 0
        self._begin()
        # The tokenizers library stops using threads in a forked process, and without this warns of it.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _follow_forks(one: FairQueue) -> None:
    """Call the queue's hooks at each fork while it lives."""
    if not hasattr(os, "register_at_fork"):  # no system with fork
        return
    hooks = map(weakref.WeakMethod, (one._before_fork, one._after_fork_in_parent, one._after_fork_in_child))

    def call(hook: weakref.WeakMethod) -> None:
        method = hook()
        if method is not None:
            method()

    before, in_parent, in_child = (partial(call, hook) for hook in hooks)
    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
