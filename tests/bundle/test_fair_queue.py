"""The fair queue: every request's own answer, parts in turns, withdrawn parts, forks."""

from __future__ import annotations

import asyncio
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.bundle import fair_queue
from tmkd.bundle.fair_queue import FairQueue
from tmkd.bundle.kernel_library import kernel_level
from tmkd.data.tokens import TokenIds

PARENT = Path(__file__).with_name("forking.py")  # forks in a process of its own


class Sums:
    """The sum of each pair's ids, four pairs a part; a part waits for `gate` and is noted by its first id."""

    classes = 1

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self.order: list[int] = []

    def parts(self, tokens: TokenIds, threads: int) -> list[np.ndarray]:
        return [np.arange(start, min(start + 4, len(tokens.lengths))) for start in range(0, len(tokens.lengths), 4)]

    def logits(self, tokens: TokenIds) -> np.ndarray:
        self.order.append(int(tokens.flat_ids[0]))
        self.begun.release()
        assert self.gate.wait(30)
        if tokens.flat_ids[0] < 0:
            raise ValueError(f"negative: {tokens.flat_ids[0]}")
        return np.array([[ids.sum()] for ids in tokens.ids], dtype=np.float32)


def pairs(*firsts: int, length: int = 3) -> TokenIds:
    """Pairs of ids that begin with these."""
    ids = [np.arange(first, first + length) for first in firsts]
    return TokenIds.of(ids, [np.zeros_like(one) for one in ids])


def held(threads: int = 1, more: int = 3) -> tuple[FairQueue, Sums]:
    """A queue whose threads are all held by one large request of 1s, of which `more` parts still wait."""
    runner = Sums()
    runner.gate.clear()
    waiting = FairQueue(runner, threads)
    waiting.submit(pairs(*[1] * 4 * (threads + more)))
    for _ in range(threads):
        assert runner.begun.acquire(timeout=30)
    return waiting, runner


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=20), max_size=6), st.integers(1, 4))
def test_every_request_gets_its_own_answer(requests: list[list[int]], threads: int) -> None:
    scorer = FairQueue(Sums(), threads)
    futures = [scorer.submit(pairs(*firsts)) for firsts in requests]
    for firsts, future in zip(requests, futures, strict=True):
        assert future.result(30)[:, 0].tolist() == [3 * first + 3 for first in firsts]
    assert scorer.waiting_tokens == 0


def test_requests_take_turns_part_by_part() -> None:
    scorer, runner = held()
    futures = [scorer.submit(pairs(*[2] * 8)), scorer.submit(pairs(3))]
    runner.gate.set()
    for future in futures:
        future.result(30)
    assert runner.order[:6] == [1, 1, 2, 3, 1, 2]


def test_a_small_request_does_not_wait_for_the_rest_of_a_large_one() -> None:
    scorer, runner = held(threads=2, more=50)
    small = scorer.submit(pairs(2))
    runner.gate.set()
    small.result(30)
    assert runner.order.index(2) <= 4  # behind the two that ran, and one or two that the threads took at once


def test_a_small_request_is_done_in_one_turn() -> None:
    scorer, runner = held(threads=2, more=1)
    futures = [scorer.submit(pairs(*[first] * 12)) for first in (2, 3)]  # three parts each
    runner.gate.set()
    for future in futures:
        future.result(30)
    assert runner.order[-3:].count(3) >= 2  # two threads may note their parts in either order


def test_a_cancelled_request_leaves_the_queue() -> None:
    scorer, runner = held()
    before = scorer.waiting_tokens
    cancelled, kept = scorer.submit(pairs(2, 2, 2)), scorer.submit(pairs(3))
    assert cancelled.cancel()
    assert scorer.waiting_tokens == before + 3
    runner.gate.set()
    assert kept.result(30).tolist() == [[12.0]]
    assert scorer.logits(pairs(4)).tolist() == [[15.0]]
    assert 2 not in runner.order


def test_a_request_under_way_can_be_cancelled_too() -> None:
    runner = Sums()
    runner.gate.clear()
    scorer = FairQueue(runner, 1)
    future = scorer.submit(pairs(*[1] * 40))
    assert runner.begun.acquire(timeout=30)
    assert future.cancel()
    runner.gate.set()
    scorer.logits(pairs(2))
    assert runner.order == [1, 2]


def test_a_failed_part_ends_its_request_and_no_other() -> None:
    scorer = FairQueue(Sums(), 3)
    failed, other = scorer.submit(pairs(-5, *[-9] * 60)), scorer.submit(pairs(*range(60)))
    with pytest.raises(ValueError, match="negative"):
        failed.result(30)
    assert other.result(30)[:, 0].tolist() == [3 * first + 3 for first in range(60)]
    assert scorer.waiting_tokens == 0


def test_a_full_queue_refuses_or_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "MOST_WAITING", 36)
    scorer, runner = held()  # 36 token ids wait
    with pytest.raises(queue.Full):
        scorer.submit(pairs(2), block=False)
    answers: list[float] = []
    caller = threading.Thread(target=lambda: answers.append(float(scorer.logits(pairs(2))[0, 0])))
    caller.start()
    caller.join(0.2)
    assert answers == []
    runner.gate.set()
    caller.join(30)
    assert answers == [9.0]


def test_asyncio_waits_and_cancels() -> None:
    async def ask() -> None:
        scorer, runner = held()
        first = asyncio.wrap_future(scorer.submit(pairs(2), block=False))
        second = asyncio.wrap_future(scorer.submit(pairs(3), block=False))
        first.cancel()
        asyncio.get_running_loop().call_later(0.1, runner.gate.set)
        assert (await second).tolist() == [[12.0]]
        assert first.cancelled()
        assert 2 not in runner.order

    asyncio.run(ask())


def test_a_fork_waits_for_the_parts_under_way_and_begins_none() -> None:
    scorer, runner = held()
    threading.Timer(0.2, runner.gate.set).start()
    child = os.fork()
    if not child:
        try:
            alive = scorer.waiting_tokens == 0 and scorer.logits(pairs(7)).tolist() == [[24.0]]
        finally:
            os._exit(0 if alive else 1)  # pytest is not to go on twice
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert scorer.logits(pairs(2)).tolist() == [[9.0]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that either engine runs."""
    from tiny_bundle import write_bundle

    return write_bundle(tmp_path_factory.mktemp("served"), width=64)[1]


@pytest.mark.parametrize("engine", ["kernel", "onnxruntime"])
@pytest.mark.parametrize("way", ["multiprocessing", "server"])
def test_a_forked_process_scores_as_its_parent(way: str, engine: str, served: Path) -> None:
    if engine == "kernel" and not kernel_level():
        pytest.skip("no compiled kernel, or a processor without AVX-512 VNNI")
    done = subprocess.run(
        [sys.executable, PARENT, way, engine, served], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout.split()[-1:], done.stderr) == (0, ["equal"], "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has its process's niceness")
def test_threads_that_compute_are_nicer_than_the_others_by_what_the_queue_says() -> None:
    class Niceness(Sums):
        def logits(self, tokens: TokenIds) -> np.ndarray:
            return np.full((len(tokens.lengths), 1), os.getpriority(os.PRIO_PROCESS, 0), dtype=np.float32)

    own = os.getpriority(os.PRIO_PROCESS, 0)
    waiting = FairQueue(Niceness(), 1)
    assert waiting.logits(pairs(1)).tolist() == [[own]]
    waiting.niceness = 3
    assert [waiting.logits(pairs(1)).tolist() for _ in range(2)] == [[[own + 3]]] * 2
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
