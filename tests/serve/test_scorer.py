"""The scorer: scores as in process, places freed by those who go, refusals when all is full."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import numpy as np
import pytest

from serving import QUESTION, TEXTS
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.serve import scorer as module
from tmkd.serve.refusal import Refusal
from tmkd.serve.scorer import Scorer
from tmkd.serve.served import Served


@pytest.fixture
def scorer(served: Served) -> Scorer:
    return served.scorer


def ids(pairs: int, length: int = 10) -> TokenIds:
    some = [np.arange(length, dtype=np.int32)] * pairs
    return TokenIds.of(some, [np.zeros_like(one) for one in some])


def held(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event without which no part is computed."""
    gate, computed = threading.Event(), scorer.ranker.queue.runner.logits

    def logits(tokens: TokenIds) -> np.ndarray:
        assert gate.wait(30)
        return computed(tokens)

    monkeypatch.setattr(scorer.ranker.queue.runner, "logits", logits)
    return gate


async def scored(scorer: Scorer, texts: list[str]) -> list[float]:
    return await scorer.scores(await scorer.tokens([QUESTION] * len(texts), texts))


def test_scores_are_those_of_the_ranker(scorer: Scorer) -> None:
    expected = scorer.ranker.predict([(QUESTION, text) for text in TEXTS])
    assert asyncio.run(scored(scorer, TEXTS)) == pytest.approx(expected.tolist(), abs=1e-6)


def test_large_requests_are_tokenised_in_the_executor(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INLINE", 0)
    names: list[str] = []
    encode = scorer.ranker.encode

    def named(*given: list[str]) -> TokenIds:
        names.append(threading.current_thread().name)
        return encode(*given)

    monkeypatch.setattr(scorer.ranker, "encode", named)
    assert len(asyncio.run(scored(scorer, TEXTS))) == len(TEXTS)
    assert names[0].startswith("tokenise")


def test_a_text_that_may_not_be_cut_is_refused(scorer: Scorer) -> None:
    long = " ".join(["moon"] * 40)
    with pytest.raises(Refusal, match="text 1 with its query is longer than the limit of 32 tokens") as caught:
        asyncio.run(scorer.tokens([QUESTION] * 2, ["moon", long], truncate=False))
    assert caught.value.status == 422
    assert asyncio.run(scorer.tokens([QUESTION], [long])).lengths.tolist() == [32]


def test_a_cancelled_request_frees_its_place(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, waiting = held(scorer, monkeypatch), scorer.ranker.queue

    async def left() -> int:
        task = asyncio.ensure_future(scorer.logits(ids(640)))
        while not waiting.waiting_tokens:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        return waiting.waiting_tokens

    assert asyncio.run(left()) == 0
    gate.set()


def test_beyond_the_queue_s_limit_a_request_is_refused(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, waiting = held(scorer, monkeypatch), scorer.ranker.queue
    waiting.most_waiting = 100
    first: Future = waiting.submit(ids(640))
    for refused in (scorer.logits(ids(1)), scorer.tokens([QUESTION], TEXTS[:1])):
        with pytest.raises(Refusal, match="tokens are waiting") as caught:
            asyncio.run(refused)  # type: ignore[arg-type]
        assert caught.value.status == 429
        assert int(caught.value.headers["retry-after-ms"]) <= 1000 * int(caught.value.headers["Retry-After"])
    first.cancel()
    gate.set()


def test_beyond_the_executor_s_limit_a_request_is_refused(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CALLS", 0)
    with pytest.raises(Refusal) as caught:
        asyncio.run(scorer.call(len, ""))
    assert caught.value.status == 429


def test_a_model_that_fails_is_told(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tokens: TokenIds) -> np.ndarray:
        raise TmkdError("a logit is not finite")

    monkeypatch.setattr(scorer.ranker.queue.runner, "logits", fail)
    with pytest.raises(Refusal, match="not finite") as caught:
        asyncio.run(scorer.logits(ids(3)))
    assert (caught.value.status, caught.value.word) == (424, "Backend")


@pytest.mark.parametrize(
    ("seconds", "first", "size"),
    [
        (2.0, 0, 10),  # 100 tokens at 100/s take 1 s
        (1.0, 0, 5),  # half the time
        (0.25, 0, 2),  # at least one a thread, which takes 0.2 s
        (0.15, 0, 0),
        (1.0, 8, 2),  # two are left
        (-1.0, 0, 0),
    ],
)
def test_parts_are_sized_from_the_measured_rate(scorer: Scorer, seconds: float, first: int, size: int) -> None:
    scorer.backlog.rate = 100.0
    assert scorer.fitting(ids(10), first, seconds) == size
