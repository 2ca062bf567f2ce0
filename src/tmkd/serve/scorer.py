"""Scores of pairs for requests on an event loop: tokenised, queued, awaited; withdrawn when the request ends early."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from tmkd.bundle import Ranker
from tmkd.bundle.fair_queue import Logits
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.serve.limits import Limits
from tmkd.serve.overload import Backlog
from tmkd.serve.refusal import Refusal

Result = TypeVar("Result")

_INLINE = 20_000  # characters that are tokenised on the event loop: another thread's start would take as long
_MOST_CALLS = 64  # waiting for the executor
_CHARACTERS = 4  # of a token, about
_OF_TURN = 1024  # tokens of another request's part, at most
_SPARE = 0.8  # share of the time that a last part may take by the measured rate


class Scorer:
    """Ranker behind an event loop: one executor for what must not hold the loop, the bundle's fair queue for scores."""

    def __init__(self, ranker: Ranker, limits: Limits) -> None:
        self.ranker, self.limits = ranker, limits
        self.backlog = Backlog(ranker.queue, limits.queue_seconds)
        self._executor = ThreadPoolExecutor(ranker.queue.threads, thread_name_prefix="tokenise")
        self._calls = 0
        self.positive = ranker.bundle.labels.positive_index

    async def call(self, function: Callable[..., Result], *given: Any) -> Result:
        """Call a function that computes for long in the executor.  Raises: Refusal when too many wait for it."""
        if self._calls >= _MOST_CALLS:
            raise self.backlog.refusal(_OF_TURN)
        self._calls += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *given)
        finally:
            self._calls -= 1

    def admit(self, tokens: int) -> None:
        """Check that a request of about so many tokens may begin.  Raises: Refusal when the queue is full."""
        if self.backlog.full:
            raise self.backlog.refusal(tokens)

    async def tokens(self, questions: Sequence[str], passages: Sequence[str], truncate: bool = True) -> TokenIds:
        """Token ids of pairs.  Raises: Refusal when the queue is full, or a text is too long and may not be cut."""
        characters = sum(map(len, passages)) + sum(map(len, set(questions)))
        self.admit(characters // _CHARACTERS)
        if characters <= _INLINE:
            return self._encode(questions, passages, truncate)
        return await self.call(self._encode, questions, passages, truncate)

    def _encode(self, questions: Sequence[str], passages: Sequence[str], truncate: bool) -> TokenIds:
        try:
            if not truncate and not (fits := self.ranker.tokenizer.fits(questions, passages)).all():
                longest = self.ranker.bundle.text.max_length
                place = int(np.argmin(fits))
                text = f"text {place} with its query is longer than the limit of {longest} tokens; allow truncation"
                raise Refusal(422, "Validation", text)
            return self.ranker.encode(questions, passages)
        except TmkdError as error:
            raise Refusal(422, "Validation", str(error)) from error

    async def logits(self, tokens: TokenIds) -> Logits:
        """Logarithm of Eq. 6, float32 (pairs, classes).  Raises: Refusal when the queue is full or the model fails.

        A cancelled call withdraws the parts not yet begun.
        """
        try:
            future = self.ranker.queue.submit(tokens, block=False)
        except queue.Full:
            raise self.backlog.refusal(int(tokens.lengths.sum())) from None
        try:
            logits = await asyncio.wrap_future(future)
        except TmkdError as error:
            raise Refusal(424, "Backend", str(error)) from error
        self.backlog.measure()
        return logits

    async def scores(self, tokens: TokenIds) -> list[float]:
        """Probability of the positive class of each pair."""
        return np.exp((await self.logits(tokens))[:, self.positive]).tolist()

    def fitting(self, tokens: TokenIds, first: int, seconds: float) -> int:
        """Number of pairs from `first` on to score next, with so many seconds left; 0 when not one is done in time.

        All that are left if they fit; else as many as take half the time, so that little is lost where the rate falls.
        """
        rate, waiting = self.backlog.rate, self.ranker.queue
        ahead = min(waiting.waiting_tokens, waiting.waiting_requests * _OF_TURN)
        needed = (ahead + np.cumsum(tokens.lengths[first:])) / rate if rate else np.zeros(len(tokens.lengths) - first)
        if needed[-1] <= _SPARE * seconds:
            return len(needed)
        some = int(np.searchsorted(needed, seconds / 2, side="right"))
        least = min(self.ranker.queue.threads, len(needed))
        return max(some, least if needed[least - 1] <= seconds else 0)

    def close(self) -> None:
        """End the executor's threads."""
        self._executor.shutdown(wait=False, cancel_futures=True)
