"""The lock of a run: one holder, told to the others; taken over when its renewals stop; a lost one stops the writes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator

import pytest

from object_server import BUCKET, Fault, Proxy
from tmkd.errors import TmkdError
from tmkd.object_store.objects import Objects
from tmkd.object_store.run_lock import HELD, LOCK, UNMOVED, RunLock, check_parents_lock

BEAT = 0.3


@pytest.fixture
def lock(objects: Objects) -> Iterator[RunLock]:
    """A lock that is held."""
    held = RunLock(objects, BEAT)
    held.acquire(print)
    yield held
    held.release()


def stopped(lock: RunLock) -> None:
    """Stop a lock's renewals, as a kill of its process would."""
    lock._stop.set()
    lock._thread.join()


def in_storage(objects: Objects) -> dict[str, object]:
    stored = objects.read(LOCK)
    assert stored is not None
    return dict(json.loads(stored.data))


def another(monkeypatch: pytest.MonkeyPatch, objects: Objects, beat: float = BEAT) -> RunLock:
    """A lock of another process: one without this process's nonce."""
    monkeypatch.delenv(HELD, raising=False)
    return RunLock(objects, beat)


def test_a_second_run_is_told_who_holds_the_lock_and_since_when(
    lock: RunLock, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    with pytest.raises(TmkdError) as failure:
        another(monkeypatch, objects).acquire(lines.append)
    held = f"process {os.getpid()}, since 20"
    assert held in str(failure.value)
    assert "is in use by another tmkd process" in str(failure.value)
    (line,) = lines
    assert held in line
    assert "watching whether it still works" in line


def test_the_lock_is_free_after_its_release(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    first = RunLock(objects, BEAT)
    first.acquire(print)
    first.release()
    assert HELD not in os.environ
    assert in_storage(objects)["holder"] == ""
    second = another(monkeypatch, objects)
    second.acquire(pytest.fail)  # it waits for nobody
    second.check()
    second.release()


def test_renewals_move_the_counter_and_never_bring_a_content_back(lock: RunLock, objects: Objects) -> None:
    seen = set()
    for _ in range(3):
        stored = objects.read(LOCK)
        assert stored is not None
        seen.add(stored.data)
        lock.check()
    assert len(seen) == 3
    before = in_storage(objects)
    time.sleep(2.5 * BEAT)
    now = in_storage(objects)
    assert now["nonce"] == before["nonce"]
    assert int(str(now["counter"])) > int(str(before["counter"]))


def test_a_lock_whose_renewals_stopped_is_taken_over(
    lock: RunLock, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(lock)
    second = another(monkeypatch, objects)
    start = time.monotonic()
    second.acquire(lambda line: None)
    assert time.monotonic() - start >= UNMOVED * BEAT
    with pytest.raises(TmkdError, match=r"lock was taken over .*nothing more is written"):
        lock.check()
    second.check()
    second.release()


def test_a_holder_that_lives_keeps_its_lock_however_its_clock_goes(
    lock: RunLock, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with pytest.raises(TmkdError, match="in use"):
        another(monkeypatch, objects).acquire(lambda line: None)
    lock.check()


def test_bytes_of_an_earlier_lock_that_come_back_are_no_renewal_of_another(
    lock: RunLock, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(lock)
    old = objects.read(LOCK)
    assert old is not None
    second = another(monkeypatch, objects)
    second.acquire(lambda line: None)
    second.release()
    now = objects.read(LOCK)
    assert now is not None
    assert now.version != old.version
    with pytest.raises(TmkdError, match=r"now: nobody"):
        lock.check()


def test_a_renewal_whose_reply_is_lost_keeps_the_lock(lock: RunLock, server: Proxy) -> None:
    server.faults.append(Fault("PUT", LOCK))
    lock.check()
    lock.check()


def test_a_server_out_of_reach_for_a_while_does_not_lose_the_lock(lock: RunLock, server: Proxy) -> None:
    server.faults.append(Fault("PUT", LOCK, times=8, status=503, code="SlowDown"))
    with pytest.raises(TmkdError, match="503"):
        lock.check()
    while server.faults[0].times:
        time.sleep(BEAT)
    lock.check()


def test_a_lock_that_cannot_be_read_is_taken_over_when_it_does_not_move(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.write(LOCK, b"no JSON")
    lines: list[str] = []
    lock = another(monkeypatch, objects, 0.05)
    lock.acquire(lines.append)
    assert "an unknown process" in lines[0]
    lock.release()


def test_a_process_that_replaced_the_holder_goes_on_with_its_lock(lock: RunLock, objects: Objects) -> None:
    stopped(lock)  # its threads are gone, its environment is not
    after = RunLock(objects, BEAT)
    after.acquire(pytest.fail)
    after.check()
    after.release()


def test_a_child_of_the_holder_writes_only_while_the_lock_is_held(
    lock: RunLock, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_parents_lock(objects)
    monkeypatch.setenv(HELD, "of another run")
    with pytest.raises(TmkdError, match="lock was taken over"):
        check_parents_lock(objects)


@pytest.mark.slow
def test_of_sixteen_runs_exactly_one_takes_the_lock(
    credentials: None, atomic_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", atomic_endpoint)
    for number in range(20):
        monkeypatch.delenv(HELD, raising=False)
        locks = [RunLock(Objects(f"s3://{BUCKET}/lock/{number}"), 2.0) for _ in range(16)]
        together, won, told = threading.Barrier(16), list[RunLock](), list[str]()

        def take(one: RunLock, together: threading.Barrier, won: list[RunLock], told: list[str]) -> None:
            together.wait()
            try:
                one.acquire(lambda line: None)
                won.append(one)
            except TmkdError as failure:
                told.append(str(failure))

        threads = [threading.Thread(target=take, args=(one, together, won, told)) for one in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = won
        assert len(told) == 15
        winner.release()
