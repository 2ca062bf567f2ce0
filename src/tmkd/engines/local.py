"""Local engine: workers are processes of this machine, which share its cores and CUDA devices."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Any, NoReturn

from tmkd.engines.engine import Done, Piece, Result, Work
from tmkd.errors import TmkdError
from tmkd.machine import CUDA_DEVICES, cores, cuda_devices, having, share_of_cores
from tmkd.process import end_with, tune_process

_work: Callable[[Any], Any]  # of a worker process, made once by `_begin`


@dataclass(frozen=True)
class LocalEngine:
    """Engine on this machine. `workers` processes have equal shares of the cores; without a number: as the work says.

    One worker is this process itself.
    """

    workers: int | None = None

    def check(self) -> None:
        """Do nothing: this machine is there."""

    def map(self, work: Work[Piece, Result], pieces: Iterable[Piece], most: int) -> Iterator[Done[Result]]:
        """As the protocol says. When the caller stops taking results, at most two pieces a worker are done in vain.

        Raises: whatever the work raises; TmkdError when a process dies.
        """
        devices = cuda_devices() if work.cuda else []
        asked = min(self.workers or _by_default(work, len(devices), most), cores())
        count = min(asked, most)
        if count <= 1 and (asked == 1 or not work.threaded):
            yield from enumerate(map(work.make(*work.given), pieces))
        else:
            yield from _in_processes(work, pieces, max(count, 1), share_of_cores(asked), devices)


def _by_default(work: Work[Any, Any], devices: int, most: int) -> int:
    """Number of workers where none is asked for: one per CUDA device, one per core for some work, else one."""
    return devices or (min(cores(), max(most, 1)) if work.spread else 1)


def _in_processes(
    work: Work[Piece, Result], pieces: Iterable[Piece], processes: int, cores_each: int, devices: list[str]
) -> Iterator[Done[Result]]:
    # Spawned, not forked: a fork copies the locks of threads that are not there to open them again.
    context = get_context("spawn")
    own: SimpleQueue[str] | None = context.SimpleQueue() if devices else None
    if own is not None:
        for number in range(processes):
            own.put(devices[number % len(devices)])
    pool = ProcessPoolExecutor(processes, context, _begin, (os.getpid(), own, work.make, work.given))
    stream = enumerate(pieces)
    running: dict[Future[Result], int] = {}

    def begin(number: int) -> None:
        with having(cores_each):  # a worker is started with a piece that finds none free
            running.update((pool.submit(_do, piece), place) for place, piece in islice(stream, number))

    try:
        begin(2 * processes)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                place, result = running.pop(future), future.result()
                begin(1)
                yield place, result
    except BrokenProcessPool as error:
        raise TmkdError("a worker was killed (often: out of memory); run the same command again, it resumes") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(
    parent: int, devices: SimpleQueue[str] | None, make: Callable[..., Callable[[Any], Any]], given: tuple[Any, ...]
) -> None:
    global _work
    end_with(parent)
    tune_process()
    if devices is not None:
        os.environ[CUDA_DEVICES] = devices.get()
    try:
        _work = make(*given)
    except Exception as error:
        _work = partial(_raise, error)  # with the first piece: an exception here would look like a killed process


def _raise(error: Exception, piece: object) -> NoReturn:
    raise error


def _do(piece: Any) -> Any:
    return _work(piece)
