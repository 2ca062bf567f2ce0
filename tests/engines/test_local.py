from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tmkd import machine
from tmkd.engines import local
from tmkd.engines.engine import Work
from tmkd.engines.local import LocalEngine
from tmkd.errors import TmkdError


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


def failing_at_begin() -> Callable[[int], int]:
    raise TmkdError("no such model")


def dying() -> Callable[[int], int]:
    return lambda piece: os._exit(1)


def environment(*names: str) -> Callable[[int], tuple[int, list[str | None]]]:
    def work(piece: int) -> tuple[int, list[str | None]]:
        time.sleep(0.1)  # so that each worker has a piece
        return os.getpid(), [os.environ.get(name) for name in names]

    return work


SEEN = Work(environment, ("TMKD_CORES", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"), threaded=True)


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_available_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("TMKD_CORES", raising=False)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("four_cores")
def test_each_piece_is_done_once_and_its_place_is_told(workers: int) -> None:
    results = dict(LocalEngine(workers).map(Work(times, (3,)), range(20), 20))
    assert {place: result for place, (result, _) in results.items()} == {piece: 3 * piece for piece in range(20)}
    assert (os.getpid() in {pid for _, pid in results.values()}) == (workers == 1)


def waiting_for_the_next(folder: Path) -> Callable[[int], None]:
    def work(piece: int) -> None:
        (folder / str(piece)).touch()
        while piece == 0 and not (folder / "1").exists():
            time.sleep(0.01)

    return work


@pytest.mark.usefixtures("four_cores")
def test_a_result_need_not_wait_for_those_before_it(tmp_path: Path) -> None:
    work = Work(waiting_for_the_next, (tmp_path,))
    assert sorted(place for place, _ in LocalEngine(2).map(work, range(9), 9)) == [*range(9)]


@pytest.mark.usefixtures("four_cores")
def test_pieces_are_taken_as_results_are() -> None:
    taken: list[int] = []

    def pieces() -> Iterator[int]:
        for piece in range(100):
            taken.append(piece)
            yield piece

    stream = LocalEngine(2).map(Work(times, (1,)), pieces(), 100)
    next(stream)
    assert len(taken) <= 6
    stream.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("work", "told"),
    [(failing, "piece 1 is bad"), (failing_at_begin, "no such model"), (dying, "a worker was killed")],
)
@pytest.mark.usefixtures("four_cores")
def test_an_error_or_a_death_in_a_worker_is_the_callers(work: Callable[[], Callable[[int], int]], told: str) -> None:
    with pytest.raises(TmkdError, match=told):
        list(LocalEngine(2).map(Work(work, ()), range(3), 3))


@pytest.mark.parametrize(("workers", "most", "processes", "cores"), [(2, 9, 2, "2"), (4, 9, 4, "1"), (3, 1, 1, "1")])
@pytest.mark.usefixtures("four_cores")
def test_workers_have_equal_shares_of_the_cores_however_few_pieces_there_are(
    workers: int, most: int, processes: int, cores: str
) -> None:
    seen = [result for _, result in LocalEngine(workers).map(SEEN, range(2 * processes), most)]
    assert os.getpid() not in {pid for pid, _ in seen}
    assert len({pid for pid, _ in seen}) <= processes
    assert [found for _, found in seen] == [[cores, cores, os.environ.get("CUDA_VISIBLE_DEVICES")]] * len(seen)
    assert "TMKD_CORES" not in os.environ


@pytest.mark.usefixtures("four_cores")
def test_there_are_never_more_workers_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def note(work: object, pieces: object, processes: int, cores: int, devices: object) -> Iterator[tuple[int, int]]:
        asked.append((processes, cores))
        yield from ()

    monkeypatch.setattr(local, "_in_processes", note)
    for engine in (LocalEngine(9), LocalEngine()):
        list(engine.map(SEEN, range(99), 99))
    list(LocalEngine().map(SEEN, range(2), 2))
    assert asked == [(4, 1), (4, 1), (2, 2)]


@pytest.mark.parametrize("work", [Work(times, (1,), threaded=True, spread=False), Work(times, (1,))])
@pytest.mark.usefixtures("four_cores")
def test_a_single_worker_is_this_process(work: Work[int, tuple[int, int]]) -> None:
    most = 9 if work.threaded else 1
    assert {pid for _, (_, pid) in LocalEngine().map(work, range(3), most)} == {os.getpid()}


@pytest.mark.usefixtures("four_cores")
def test_each_worker_has_a_cuda_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "cuda_devices", lambda: ["3", "5"])
    work = Work(environment, ("CUDA_VISIBLE_DEVICES",), threaded=True, spread=False, cuda=True)
    by_worker = {pid: found for _, (pid, (found,)) in LocalEngine().map(work, range(8), 8)}
    assert sorted(map(str, by_worker.values())) == ["3", "5"]


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "sleepers.py"
    script.write_text(
        "import os, time\n"
        "from tmkd import machine\n"
        "from tmkd.engines.engine import Work\n"
        "from tmkd.engines.local import LocalEngine\n"
        "def make(folder):\n"
        "    open(f'{folder}/{os.getpid()}.pid', 'w').close()\n"
        "    return lambda piece: time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    machine._available_cores = lambda: 2\n"
        f"    list(LocalEngine(2).map(Work(make, ({str(tmp_path)!r},)), range(2), 2))\n"
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
