"""Cache of the answers to repeated tail questions, the least recently asked leaving first."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from tmkd.serve.question_key import question_key

_ENTRIES = 10_000  # of about 500 bytes


class Kept(NamedTuple):
    """Answers that were ranked completely: passage number and score of each, best first; the number of candidates."""

    places: tuple[tuple[int, float], ...]
    candidates: int


class AnswerCache:
    """Cache in memory. `origin` is the digest of what decides an answer: bundle, index, candidates, threshold."""

    def __init__(self, origin: str, entries: int = _ENTRIES) -> None:
        self.origin = origin
        self._entries = entries
        self._kept: OrderedDict[tuple[str, bytes], Kept] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(self, question: str) -> Kept | None:
        """Answers to a question, or None."""
        key = self.origin, question_key(question)
        kept = self._kept.get(key)
        if kept is None:
            self.misses += 1
            return None
        self._kept.move_to_end(key)
        self.hits += 1
        return kept

    def put(self, question: str, kept: Kept) -> None:
        """Keep answers."""
        self._kept[self.origin, question_key(question)] = kept
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)
