"""A process that scores and forks: `forking.py multiprocessing|server ENGINE BUNDLE` ends with "equal".

Run by test_fair_queue.py. While a thread of the parent goes on scoring, its children score as well: those of
multiprocessing, or the workers of a small server that opened its bundle and its socket before it forked.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tmkd.bundle import Ranker

WORKERS = 3
PASSAGES = ["the moon is rock", "tea is a drink", "moon " * 30, ""] * 10


@contextmanager
def scoring(ranker: Ranker) -> Iterator[None]:
    """A thread that scores all the while."""
    ended = threading.Event()

    def score() -> None:
        while not ended.is_set():
            ranker.predict([("what is the moon", passage) for passage in PASSAGES])

    thread = threading.Thread(target=score)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def by_multiprocessing(ranker: Ranker) -> list[list[float]]:
    """The scores in each of several processes."""
    context = multiprocessing.get_context("fork")
    ways = [context.Pipe() for _ in range(WORKERS)]

    def work(place: int) -> None:
        ways[place][1].send(scores(ranker))

    workers = [context.Process(target=work, args=(place,)) for place in range(WORKERS)]
    for worker in workers:
        worker.start()
    answers = [ours.recv() if ours.poll(60) else [] for ours, _ in ways]
    for worker in workers:
        worker.join(10)
        worker.kill()
    return answers


def by_server(ranker: Ranker) -> list[list[float]]:
    """The answers of a server that forks its workers first; each worker answers one request."""
    listening = socket.create_server(("127.0.0.1", 0))
    workers = []
    for _ in range(WORKERS):
        worker = os.fork()
        if not worker:
            try:
                taken, _ = listening.accept()
                with taken:
                    taken.sendall(json.dumps(scores(ranker)).encode())
            finally:
                os._exit(0)
        workers.append(worker)
    answers = []
    for _ in workers:
        with socket.create_connection(listening.getsockname(), timeout=60) as asked:
            answers.append(json.loads(b"".join(iter(lambda: asked.recv(65536), b""))))
    for worker in workers:
        os.waitpid(worker, 0)
    return answers


def scores(ranker: Ranker) -> list[float]:
    """Scores of one request."""
    return [float(score) for score in ranker.predict([("what is the moon", passage) for passage in PASSAGES])]


def main(way: str, engine: str, bundle: str) -> None:
    """Score, fork and compare."""
    ranker = Ranker(bundle, "int8", threads=2, engine=engine)  # type: ignore[arg-type]
    expected = scores(ranker)
    with scoring(ranker):
        answers = by_multiprocessing(ranker) if way == "multiprocessing" else by_server(ranker)
    equal = len(answers) == WORKERS and all(np.allclose(answer, expected, atol=1e-5) for answer in answers)
    print("equal" if equal else f"{answers} are not {expected}")


if __name__ == "__main__":
    main(*sys.argv[1:])
