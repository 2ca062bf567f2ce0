"""Answers: the three routes, the deadline, the threshold, and entries that are damaged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serving import QUESTION
from stores import ORIGIN
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.search.candidates import candidates
from tmkd.serve.answer import Answerer, AnswerSettings
from tmkd.serve.answer_value import Answer, DamagedEntry
from tmkd.serve.refusal import Refusal
from tmkd.serve.served import Served


class Stored:
    """A store in memory."""

    def __init__(self, entries: dict[str, tuple[Answer, ...]]) -> None:
        self.entries = entries

    origin = ORIGIN

    def get(self, question: str) -> tuple[Answer, ...] | None:
        if question == "damaged":
            raise DamagedEntry("damaged: its digest is wrong")
        return self.entries.get(question)

    def close(self) -> None:
        pass


@pytest.fixture
def answerer(served: Served) -> Answerer:
    assert served.answerer is not None
    return served.answerer


def reply(answerer: Answerer, question: str = QUESTION, **given: Any) -> dict[str, Any]:
    return asyncio.run(answerer.reply(question, given.pop("best_sentence", False), **given))


def slow(answerer: Answerer, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each pair take so long."""
    runner = answerer.scorer.ranker.queue.runner
    computed: Callable[[TokenIds], np.ndarray] = runner.logits

    def logits(tokens: TokenIds) -> np.ndarray:
        time.sleep(seconds * len(tokens.lengths))
        return computed(tokens)

    monkeypatch.setattr(runner, "logits", logits)


def expected(answerer: Answerer) -> list[tuple[str, float]]:
    """Url and score of the candidates, the best first, by the ranker itself."""
    found = candidates(answerer.index, QUESTION, answerer.settings.top)
    scores = answerer.scorer.ranker.predict([(QUESTION, one.passage) for one in found]).tolist()
    pairs = [(one.url, score) for one, score in zip(found, scores, strict=True)]
    return sorted(pairs, key=lambda pair: -pair[1])


def test_a_tail_question_is_ranked_as_the_ranker_ranks_its_candidates(answerer: Answerer) -> None:
    got = reply(answerer)
    best = expected(answerer)
    assert (got["route"], got["candidates"], got["ranked"]) == ("tail", len(best), len(best))
    assert [one["url"] for one in got["answers"]] == [url for url, _ in best[:5]]
    assert [one["score"] for one in got["answers"]] == pytest.approx([score for _, score in best[:5]], abs=1e-6)
    assert all(one["ranked"] and one["best_sentence"] is None for one in got["answers"])
    assert set(got["milliseconds"]) == {"lookup", "search", "rank", "total"}


def test_a_question_asked_again_comes_from_the_cache(answerer: Answerer) -> None:
    first, again = reply(answerer), reply(answerer, f"  {QUESTION.upper()}?")
    assert (first["route"], again["route"]) == ("tail", "cache")
    assert again["answers"] == first["answers"]


def test_a_head_question_is_looked_up(answerer: Answerer) -> None:
    answerer.store = Stored({QUESTION: (Answer(4, 0.75), Answer(2, 0.5)), "nothing": ()})  # type: ignore[assignment]
    got = reply(answerer)
    assert got["route"] == "head"
    texts = answerer.index.texts
    assert [(one["passage"], one["score"]) for one in got["answers"]] == [
        (texts.passage(4), 0.75),
        (texts.passage(2), 0.5),
    ]
    assert reply(answerer, "nothing")["answers"] == []
    assert reply(answerer, "nothing")["route"] == "head"
    assert reply(answerer, "why the sun")["route"] == "tail"


def test_a_damaged_entry_is_counted_logged_and_ranked(answerer: Answerer, caplog: pytest.LogCaptureFixture) -> None:
    answerer.store = Stored({})  # type: ignore[assignment]
    assert reply(answerer, "damaged")["route"] == "tail"
    assert answerer.damaged == 1
    assert "its digest is wrong" in caplog.text


def test_a_store_elsewhere_that_does_not_answer_is_left_alone_for_some_seconds(answerer: Answerer) -> None:
    asked: list[str] = []

    class Away(Stored):
        def get(self, question: str) -> tuple[Answer, ...] | None:
            asked.append(threading.current_thread().name)
            raise TmkdError("no answer in a second")

    answerer.store = Away({})  # type: ignore[assignment]
    assert [reply(answerer, one)["route"] for one in (QUESTION, "why the sun")] == ["tail", "tail"]
    assert len(asked) == 1
    assert asked[0].startswith("tokenise")  # not on the event loop
    assert answerer.damaged == 0


def test_answers_ranked_under_settings_that_have_changed_are_not_kept(answerer: Answerer) -> None:
    ranked = answerer.scorer.scores

    async def scores(tokens: TokenIds) -> list[float]:
        answerer.cache.origin = "of another version"
        return await ranked(tokens)

    answerer.scorer.scores = scores  # type: ignore[method-assign]
    assert [reply(answerer)["route"] for _ in range(2)] == ["tail", "tail"]


def test_when_the_queue_is_full_nothing_is_searched(answerer: Answerer) -> None:
    answerer.scorer.ranker.queue.most_waiting = 0
    answerer.index = None  # type: ignore[assignment]
    with pytest.raises(Refusal) as caught:
        asyncio.run(answerer.answer(QUESTION))
    assert caught.value.status == 429


def test_a_question_without_searchable_words_has_no_answers(answerer: Answerer) -> None:
    got = reply(answerer, "?!")
    assert (got["answers"], got["candidates"], got["ranked"]) == ([], 0, 0)


def test_answers_below_the_threshold_are_left_out(answerer: Answerer) -> None:
    best = expected(answerer)
    answerer.settings = replace(answerer.settings, threshold=best[1][1], keep=9)
    assert len(reply(answerer)["answers"]) == 2
    answerer.settings = replace(answerer.settings, threshold=1.0)
    assert reply(answerer, f"{QUESTION} again")["answers"] == []


def test_when_time_is_up_the_rest_follow_in_retrieval_order(
    answerer: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answerer.settings = AnswerSettings(top=10, keep=10, deadline_ms=250)
    slow(answerer, monkeypatch, 0.1)  # six take 300 ms in two threads
    answerer.scorer.backlog.rate = 160.0  # by it two pairs are a part
    started = time.perf_counter()
    got = reply(answerer)
    took = time.perf_counter() - started
    unranked = [one for one in got["answers"] if not one["ranked"]]
    found = candidates(answerer.index, QUESTION, 10)
    assert 0 < got["ranked"] < got["candidates"] == len(found)
    assert [one["passage"] for one in unranked] == [one.passage for one in found[got["ranked"] :]]
    assert {one["score"] for one in unranked} == {None}
    assert took < 0.8
    assert reply(answerer)["route"] == "tail"  # an answer with an unranked passage is not kept


def test_a_scorer_that_hangs_leaves_all_unranked_at_the_deadline(
    answerer: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(answerer, monkeypatch, 1.0)
    started = time.perf_counter()
    got = reply(answerer, deadline_ms=50)
    assert time.perf_counter() - started < 0.7
    assert got["ranked"] == 0
    assert len(got["answers"]) == 5


def test_with_time_enough_all_are_ranked(answerer: Answerer) -> None:
    got = reply(answerer, deadline_ms=30_000)
    assert got["ranked"] == got["candidates"] > 0


def test_teachers_that_have_scored_a_pair_stand_beside_it_where_asked(answerer: Answerer) -> None:
    first = reply(answerer)["answers"][0]["passage"]

    class Scored:
        def scores(self, question: str, passage: str) -> dict[str, float]:
            return {"t1": 0.75} if (question, passage) == (QUESTION, first) else {}

    answerer.teachers = Scored()  # type: ignore[assignment]
    got = reply(answerer, teachers=True)["answers"]
    assert got[0]["teachers"] == {"t1": 0.75}
    assert not any("teachers" in one for one in [*got[1:], *reply(answerer)["answers"]])


def test_the_best_sentence_is_marked_where_asked(answerer: Answerer) -> None:
    assert reply(answerer, best_sentence=True)["milliseconds"]["sentences"] > 0
    for one in reply(answerer, best_sentence=True)["answers"]:
        start, end = one["best_sentence"]
        assert one["passage"][start:end].strip() != ""
