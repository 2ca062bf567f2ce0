"""Faults beside a running server: stores swapped, damaged entries, many connections, a worker killed under load."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import lmdb
import pytest

import tiny
from serving import QUESTION, TEXTS, Client, opened, server, until
from stores import write_store
from tmkd.serve.answer_value import Answer
from tmkd.serve.question_key import question_key
from tmkd.serve.store_origin import ScoredBy, StoreOrigin
from tmkd.store import sealed

HEAD = [tiny.question(topic) for topic in range(20)]
TAIL = [tiny.question(topic) for topic in range(20, 30)]


def origin_of(bundle: Path, index: Path) -> StoreOrigin:
    """Origin of a store of this bundle and index."""
    return StoreOrigin(ScoredBy(sealed(bundle).digest, "int8", "onnxruntime", 1, sealed(index).digest, 10, 5), 0.0)


def answers(version: int) -> dict[str, list[Answer]]:
    """Answers of a version of the store: the passage of a question's number, and the version as score."""
    return {question: [Answer(number, version / 16)] for number, question in enumerate(HEAD)}


def ask(port: int, question: str) -> Any:
    """Reply of /answer, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/answer?q={quote_plus(question)}")
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    assert reply.status == 200, content
    return json.loads(content)


@contextmanager
def under_load(work: Callable[[], object], threads: int = 4) -> Iterator[list[BaseException]]:
    """Call some work again and again in threads; what it raises is in the list, which must be empty at the end."""
    ended, raised = threading.Event(), list[BaseException]()

    def again() -> None:
        while not ended.is_set():
            try:
                work()
            except BaseException as error:
                raised.append(error)
                return

    pool = [threading.Thread(target=again) for _ in range(threads)]
    for one in pool:
        one.start()
    try:
        yield raised
    finally:
        ended.set()
        for one in pool:
            one.join()


def test_a_store_swapped_twice_within_a_second_gives_no_wrong_and_no_missing_answer(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path
) -> None:
    origin, seen = origin_of(made[1], index_folder), Counter[float]()
    store = tmp_path / "lookup"
    write_store(store, answers(1), origin)

    def check() -> None:
        for number, question in enumerate(HEAD):
            reply = ask(process.port, question)
            (answer,) = reply["answers"]
            assert reply["route"] == "head"
            topic, good = divmod(number, 2)
            assert answer["url"] == f"https://tiny.example/{topic}-{not good:d}"
            seen[answer["score"] * 16] += 1

    with (
        server(made[1], "--index", index_folder, "--lookup", store) as process,
        under_load(check) as raised,
    ):
        until(lambda: seen[1] > 0 or raised)
        for version in (2, 3):
            write_store(store, answers(version), origin)
            time.sleep(0.3)
        until(lambda: seen[3] > 40 or raised)
    assert raised == []
    assert {*seen} <= {1, 2, 3}


def test_a_store_of_another_bundle_that_appears_is_not_followed(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path
) -> None:
    origin, store = origin_of(made[1], index_folder), tmp_path / "lookup"
    write_store(store, answers(1), origin)
    served = opened(made[1], index_folder, lookup=str(store))
    client = Client(served)
    other = replace(origin, scored_by=replace(origin.scored_by, bundle="0" * 64))
    write_store(store, answers(2), other)
    time.sleep(1.1)  # look-ups follow the pointer once a second
    reply = client.get(f"/answer?q={quote_plus(HEAD[0])}").json
    assert reply["answers"][0]["score"] == 1 / 16
    served.close()


def test_a_damaged_entry_is_answered_by_the_tail_route_and_counted(
    made: tuple[Path, Path], index_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "lookup"
    write_store(store, answers(1), origin_of(made[1], index_folder))
    (version,) = store.glob("version-*")
    with lmdb.open(str(version), lock=False) as environment, environment.begin(write=True) as change:
        key = question_key(HEAD[3])
        value = change.get(key)
        assert value is not None
        change.put(key, bytes([value[0] ^ 1]) + value[1:])
    served = opened(made[1], index_folder, lookup=str(store))
    client = Client(served)
    replies = [client.get(f"/answer?q={quote_plus(HEAD[place])}").json for place in (2, 3)]
    assert [one["route"] for one in replies] == ["head", "tail"]
    assert len(replies[1]["answers"]) > 0
    assert key.hex() in caplog.text
    assert "tmkd_damaged_entries_total 1.0" in client.get("/metrics").body.decode()
    served.close()


def test_hundreds_of_idle_and_half_closed_connections_leave_room_for_others(
    made: tuple[Path, Path], index_folder: Path
) -> None:
    with server(made[1], "--index", index_folder) as process:
        idle = [socket.create_connection(("127.0.0.1", process.port)) for _ in range(300)]
        for one in idle[:100]:
            one.sendall(b"GET /answer?q=moon HTTP/1.1\r\nHost: localhost\r\n")
        for one in idle[100:200]:
            one.shutdown(socket.SHUT_WR)
        took = []
        for question in TAIL:
            started = time.monotonic()
            assert ask(process.port, question)["route"] == "tail"
            took.append(time.monotonic() - started)
        assert sorted(took)[len(took) // 2] < 1
        for one in idle:
            one.close()
        assert ask(process.port, TAIL[0])["route"] == "cache"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="several processes share a port on Linux alone")
def test_a_worker_killed_under_load_costs_its_own_requests_alone(made: tuple[Path, Path]) -> None:
    body, counts = json.dumps({"query": QUESTION, "texts": TEXTS}), Counter[str]()

    def rerank() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
        try:
            connection.request("POST", "/rerank", body, {"Content-Type": "application/json"})
            counts[str(connection.getresponse().status)] += 1
        except (ConnectionError, http.client.HTTPException):
            counts["lost"] += 1
        finally:
            connection.close()

    with server(made[1], "--workers", 2) as process, under_load(rerank) as raised:
        until(lambda: counts["200"] > 50 or raised)
        before = process.children
        os.kill(before[0], signal.SIGKILL)
        so_far = counts["200"]
        until(lambda: counts["200"] > so_far + 50 or raised)  # the other goes on
        until(lambda: len(process.children) == 2 and before[0] not in process.children)
    assert raised == []
    assert counts["lost"] <= 8
    assert {*counts} <= {"200", "lost"}
