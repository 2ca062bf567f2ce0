"""Answer to a question (§1): look-up, else the cache, else candidates ranked within a deadline."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.search.candidates import candidates
from tmkd.search.index import TantivyIndex
from tmkd.serve.answer_cache import AnswerCache, Kept
from tmkd.serve.lookup import AnswerStore, DamagedEntry, LmdbAnswers
from tmkd.serve.scorer import Scorer
from tmkd.serve.side_by_side import SideBySide
from tmkd.serve.spans import best_spans
from tmkd.serve.store_origin import StoreOrigin
from tmkd.store import digest_json

Route = Literal["head", "tail", "cache"]
_TOKENS = 64  # of a candidate's pair, about
_SILENT_SECONDS = 5.0  # for which a store elsewhere that did not answer is not asked
_log = logging.getLogger("tmkd.serve")


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Settings of answers: candidates per question, answers kept, their least score, the time for one in ms.

    Without a deadline all candidates are scored.
    """

    top: int = 10
    keep: int = 5
    threshold: float | None = None
    deadline_ms: float | None = None


class Place(NamedTuple):
    """Passage of an answer, by its number in the index, and its score; None where no time was left to score it."""

    passage: int
    score: float | None


@dataclass(slots=True)
class Found:
    """Answers to a question, best first, with the route to them, the candidates, and the milliseconds of each phase."""

    route: Route
    places: tuple[Place, ...]
    candidates: int
    ranked: int
    milliseconds: dict[str, float] = field(default_factory=dict)


class Answerer:
    """Answers of an index, a look-up store if there is one, and a scorer; `digests` are those of bundle and index.

    The store's own settings go before those given. `damaged` counts entries of the store whose digest was wrong: their
    questions take the tail route. `teachers` are shown beside the student where a reply is asked for them.
    """

    def __init__(
        self,
        scorer: Scorer,
        index: TantivyIndex,
        store: AnswerStore | None,
        settings: AnswerSettings,
        digests: Sequence[str],
        teachers: SideBySide | None = None,
    ) -> None:
        self.scorer, self.index, self.store, self.teachers = scorer, index, store, teachers
        self._asked, self._digests = settings, tuple(digests)
        self._origin: StoreOrigin | None = None
        self.settings, self.cache = settings, AnswerCache("")
        self.damaged = 0
        self._silent_until = 0.0
        self._follow()

    def _follow(self) -> None:
        """Take over the settings of the store's current version; answers kept under others are no longer found."""
        origin = None if self.store is None else self.store.origin
        if origin is self._origin and self.cache.origin:
            return
        self._origin = origin
        if origin is not None:
            by = origin.scored_by
            self.settings = replace(self._asked, top=by.top, keep=by.keep, threshold=origin.threshold)
        decides = self.settings.top, self.settings.keep, self.settings.threshold
        self.cache.origin = digest_json([*self._digests, *decides])

    async def answer(self, question: str, deadline_ms: float | None = None) -> Found:
        """Answer a question; `deadline_ms` (default: the settings') is counted from the call.

        Raises: Refusal when the queue is full or the model fails.
        """
        clock = Clock()
        local = isinstance(self.store, LmdbAnswers | None)  # a read of mapped memory, and no wait for another machine
        stored = self._stored(question) if local else await self.scorer.call(self._stored, question)
        self._follow()
        if stored is not None:
            places = tuple(Place(one.passage, one.score) for one in stored)
            return Found("head", places, len(places), len(places), clock.milliseconds("lookup"))
        kept = self.cache.get(question)
        clock.end("lookup")
        if kept is not None:
            places = tuple(Place(*one) for one in kept.places)
            return Found("cache", places, kept.candidates, kept.candidates, clock.milliseconds())
        settings, origin = self.settings, self.cache.origin  # a new version of the store may bring others meanwhile
        self.scorer.admit(settings.top * _TOKENS)
        allowed = settings.deadline_ms if deadline_ms is None else deadline_ms
        numbers, tokens = await self.scorer.call(self.candidates, question, settings.top)
        clock.end("search")
        ends = None if allowed is None else clock.began + allowed / 1000
        scores = await self._scores(tokens, ends) if numbers else []
        places = _chosen(numbers, scores, settings)
        if len(scores) == len(numbers) and origin == self.cache.origin:
            self.cache.put(question, Kept(tuple((one.passage, one.score or 0.0) for one in places), len(numbers)))
        return Found("tail", places, len(numbers), len(scores), clock.milliseconds("rank"))

    def _stored(self, question: str) -> Sequence[Any] | None:
        if self.store is None or time.monotonic() < self._silent_until:
            return None
        try:
            return self.store.get(question)
        except DamagedEntry as error:
            self.damaged += 1
            _log.warning("%s", error)
            return None
        except TmkdError as error:  # a store elsewhere that does not answer
            _log.warning("%s; questions are ranked on the fly for %g s", error, _SILENT_SECONDS)
            self._silent_until = time.monotonic() + _SILENT_SECONDS
            return None

    def candidates(self, question: str, top: int) -> tuple[list[int], TokenIds]:
        """Numbers of the candidates' passages in retrieval order, and the token ids of their pairs."""
        found = candidates(self.index, question, top)
        tokens = self.scorer.ranker.encode([question] * len(found), [one.passage for one in found])
        return [one.number for one in found], tokens

    async def _scores(self, tokens: TokenIds, ends: float | None) -> list[float]:
        """Scores of the first candidates: of all without an end (on `time.perf_counter`), or of those in time."""
        if ends is None:
            return await self.scorer.scores(tokens)
        scores: list[float] = []
        pairs = len(tokens.lengths)
        while len(scores) < pairs:
            first = len(scores)
            left = ends - time.perf_counter()
            size = self.scorer.fitting(tokens, first, left)
            if not size:
                break
            try:
                async with asyncio.timeout(left):
                    scores += await self.scorer.scores(tokens.take(range(first, first + size)))
            except TimeoutError:
                break
        return scores

    async def reply(
        self, question: str, best_sentence: bool, deadline_ms: float | None = None, teachers: bool = False
    ) -> dict[str, Any]:
        """Content of the reply of /answer."""
        clock = Clock()
        found = await self.answer(question, deadline_ms)
        texts = [self.index.texts[one.passage] for one in found.places]
        marked: list[list[int] | None] = [None] * len(texts)
        if best_sentence and texts:
            started = time.perf_counter()
            spans, _ = await best_spans(self.scorer, question, [one.passage for one in texts])
            marked = [[its[0].start, its[0].end] if its else None for its in spans]
            found.milliseconds["sentences"] = _rounded(1000 * (time.perf_counter() - started))
        beside: list[dict[str, Any]] = [{} for _ in texts]
        if teachers and self.teachers is not None and texts:
            beside = await self.scorer.call(self._beside, question, [one.passage for one in texts])
        found.milliseconds["total"] = _rounded(1000 * (time.perf_counter() - clock.began))
        return {
            "question": question,
            "route": found.route,
            "answers": [
                {
                    "passage": text.passage,
                    "score": one.score,
                    "url": text.url,
                    "title": text.title,
                    "ranked": one.score is not None,
                    "best_sentence": place,
                    **more,
                }
                for one, text, place, more in zip(found.places, texts, marked, beside, strict=True)
            ],
            "threshold": self.settings.threshold,
            "candidates": found.candidates,
            "ranked": found.ranked,
            "milliseconds": found.milliseconds,
        }

    def _beside(self, question: str, passages: Sequence[str]) -> list[dict[str, Any]]:
        """`teachers` of each passage that some have scored for this question; nothing for the others."""
        assert self.teachers is not None
        scores = [self.teachers.scores(question, passage) for passage in passages]
        return [{"teachers": one} if one else {} for one in scores]


def _chosen(numbers: Sequence[int], scores: Sequence[float], settings: AnswerSettings) -> tuple[Place, ...]:
    """The best passages of at least the threshold, best first; then those without a score, in retrieval order."""
    least = settings.threshold or 0.0
    ranked = [Place(number, score) for number, score in zip(numbers, scores, strict=False) if score >= least]
    ranked.sort(key=lambda one: -(one.score or 0.0))
    return (*ranked, *(Place(number, None) for number in numbers[len(scores) :]))[: settings.keep]


class Clock:
    """Clock of a request's phases: when it began, on `time.perf_counter`, and the milliseconds of each phase."""

    def __init__(self) -> None:
        self.began = self._last = time.perf_counter()
        self._phases = dict.fromkeys(("lookup", "search", "rank"), 0.0)

    def end(self, phase: str) -> None:
        """End a phase: what has passed since the last one was its time."""
        now = time.perf_counter()
        self._phases[phase] += 1000 * (now - self._last)
        self._last = now

    def milliseconds(self, phase: str | None = None) -> dict[str, float]:
        """Milliseconds of each phase, after the end of this one."""
        if phase is not None:
            self.end(phase)
        return {name: _rounded(value) for name, value in self._phases.items()}


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 3)
