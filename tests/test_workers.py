from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tmkd.errors import TmkdError
from tmkd.workers import map_in_processes


def times(factor: int) -> Callable[[int], tuple[int, int]]:
    def work(piece: int) -> tuple[int, int]:
        time.sleep(0.02 * (piece == 0))  # the first is the last to be done
        return factor * piece, os.getpid()

    return work


def failing() -> Callable[[int], int]:
    def work(piece: int) -> int:
        if piece == 1:
            raise TmkdError("piece 1 is bad")
        return piece

    return work


def dying() -> Callable[[int], int]:
    return lambda piece: os._exit(1)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_pieces(processes: int) -> None:
    results = list(map_in_processes(times, (3,), range(20), processes))
    assert [result for result, _ in results] == [3 * piece for piece in range(20)]
    assert (os.getpid() in {pid for _, pid in results}) == (processes == 1)


def test_pieces_are_taken_as_results_are() -> None:
    taken: list[int] = []

    def pieces() -> Iterator[int]:
        for piece in range(100):
            taken.append(piece)
            yield piece

    stream = map_in_processes(times, (1,), pieces(), 2)
    assert next(stream)[0] == 0
    assert len(taken) <= 5
    stream.close()  # type: ignore[attr-defined]


def test_an_error_in_a_worker_is_the_callers() -> None:
    with pytest.raises(TmkdError, match="piece 1 is bad"):
        list(map_in_processes(failing, (), range(3), 2))


def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(TmkdError, match="a worker was killed"):
        list(map_in_processes(dying, (), range(3), 2))


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "sleepers.py"
    script.write_text(
        "import os, time\n"
        "from tmkd.workers import map_in_processes\n"
        "def make(folder):\n"
        "    open(f'{folder}/{os.getpid()}.pid', 'w').close()\n"
        "    return lambda piece: time.sleep(60)\n"
        f"if __name__ == '__main__':\n    list(map_in_processes(make, ({str(tmp_path)!r},), range(2), 2))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.pid"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    alive = {int(path.stem) for path in tmp_path.glob("*.pid")}
    while alive:
        assert time.monotonic() < deadline
        alive = {pid for pid in alive if Path(f"/proc/{pid}").exists()} if Path("/proc").exists() else set()
        time.sleep(0.05)
