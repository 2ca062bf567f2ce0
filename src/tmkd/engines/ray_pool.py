"""Pool of Ray actors: each does a piece at a time; the pieces of one that dies go to others."""

from __future__ import annotations

import os
import platform
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tmkd.engines.engine import Done, Exchange, Piece, PieceFiles, Result, Work
from tmkd.errors import TmkdError, disk_is_full
from tmkd.machine import environment_of
from tmkd.process import tune_process

TRIES = 3  # workers that may die of a piece
_PATIENCE = 60.0  # seconds without a worker, after which that is printed
_END = 10.0  # seconds for killed workers to end


class Shape(NamedTuple):
    """Number of workers, and the CPUs and CUDA devices of each."""

    workers: int
    cpus: int
    gpus: int


class _Shared(NamedTuple):
    """What all workers are given."""

    make: Callable[..., Callable[[Any], Any]]
    given: tuple[Any, ...]
    reads: tuple[Path, ...]
    exchange: Exchange | None


class Worker:
    """Actor: builds the function of its work once, then does pieces."""

    def __init__(self, threads: int) -> None:
        os.environ.update(environment_of(threads))  # before anything loads torch
        tune_process()
        self._work: Callable[[Any], Any] | None = None
        self._exchange: Exchange | None = None

    def begin(self, shared: _Shared) -> None:
        """Build the function."""
        self._exchange = shared.exchange
        with _node_in_messages():
            if shared.exchange is not None:
                for artifact in shared.reads:
                    shared.exchange.bring(artifact)
            self._work = shared.make(*shared.given)

    def do(self, piece: Any, files: PieceFiles) -> Any:
        """Do a piece."""
        assert self._work is not None
        with _node_in_messages():
            if self._exchange is None:
                return self._work(piece)
            try:
                for path in files.read:
                    self._exchange.bring_file(path)
                result = self._work(piece)
                for path in files.written:
                    if path.is_file():
                        self._exchange.put(path)
                return result
            finally:
                self._exchange.drop([*files.read, *files.written])


@contextmanager
def _node_in_messages() -> Iterator[None]:
    """Put the node's name before the message of a failure."""
    try:
        yield
    except TmkdError as error:
        raise TmkdError(f"on Ray node {_node()}: {error}") from error
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise TmkdError(
            f"on Ray node {_node()}: the disk is full; free some space there, and the same command goes on from here"
        ) from error


def _node() -> str:
    import ray

    return f"{platform.node()} ({ray.get_runtime_context().get_node_id()[:8]})"


@dataclass(frozen=True, slots=True)
class _Task:
    place: int
    piece: Any
    deaths: int = 0


def do_pieces(
    ray: Any,
    work: Work[Piece, Result],
    pieces: Iterable[Piece],
    shape: Shape,
    exchange: Exchange | None = None,
) -> Iterator[Done[Result]]:
    """Do pieces by actors of a shape; yields results as they come. Without `exchange` all see the run's folder.

    Raises: the first exception of the work; TmkdError naming the pieces whose workers died each time, after all others
    are done, or when every worker dies as it begins; what Ray raises when the cluster is gone.
    """
    stream = enumerate(pieces)
    first = next(stream, None)
    if first is None:
        return
    again: deque[_Task] = deque([_Task(*first)])
    lost: list[_Task] = []
    pool = _Pool(ray, work, shape, exchange)
    try:
        while True:
            while pool.idle:
                task = again.popleft() if again else next((_Task(*one) for one in stream), None)
                if task is None:
                    break
                pool.give(task)
            if pool.idle and not pool.busy:
                break
            for task, result in pool.wait():
                if not isinstance(result, _Died):
                    if exchange is not None:
                        for path in work.files(task.piece).written:
                            exchange.take(path)
                    yield task.place, result
                elif task.deaths + 1 < TRIES:
                    again.append(_Task(task.place, task.piece, task.deaths + 1))
                else:
                    lost.append(task)
    finally:
        pool.end()
    if lost:
        names = ", ".join(work.name(task.piece) for task in lost[:3]) + ", …" * (len(lost) > 3)
        raise TmkdError(
            f"{names}: {TRIES} workers died of it, one after the other (often: out of memory); all else is done, and "
            "the same command tries it again"
        )


class _Died:
    """In place of a result: the worker died."""


class _Pool:
    """Actors with work under way or none; one that dies is replaced by another."""

    def __init__(self, ray: Any, work: Work[Any, Any], shape: Shape, exchange: Exchange | None) -> None:
        self._ray, self._work, self._shape = ray, work, shape
        options = {"num_cpus": shape.cpus, "num_gpus": shape.gpus, "max_restarts": 0, "max_task_retries": 0}
        self._kind = ray.remote(Worker).options(**options)
        self._shared = ray.put(_Shared(work.make, work.given, work.reads, exchange))
        self._running: dict[Any, tuple[Any, _Task | None]] = {}  # by the answer that is awaited; None: it begins
        self._alive: list[Any] = []
        self._died_at_begin = 0  # workers, since one began
        self.idle: list[Any] = []
        for _ in range(shape.workers):
            self._start()

    @property
    def busy(self) -> bool:
        """Whether a piece is under way."""
        return any(task is not None for _, task in self._running.values())

    def _start(self) -> None:
        actor = self._kind.remote(max(1, self._shape.cpus))
        self._alive.append(actor)
        self._running[actor.begin.remote(self._shared)] = actor, None

    def give(self, task: _Task) -> None:
        """Give a task to an idle worker."""
        actor = self.idle.pop()
        self._running[actor.do.remote(task.piece, self._work.files(task.piece))] = actor, task

    def wait(self) -> Iterator[tuple[_Task, Any]]:
        """Wait for the next answers; yields each task and its result, or _Died."""
        ready, _ = self._ray.wait([*self._running], num_returns=1, timeout=_PATIENCE)
        if not ready and not self.idle and not self.busy:
            cpus = int(self._ray.cluster_resources().get("CPU", 0))
            print(
                f"no Ray worker has begun yet: nodes are busy, or models are loaded; the cluster has {cpus} CPUs now",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        for answer in ready:
            actor, task = self._running.pop(answer)
            result = self._result(answer, actor)
            if not isinstance(result, _Died):
                self.idle.append(actor)
                if task is None:
                    self._died_at_begin = 0
            elif task is None:
                self._begin_again()
            else:
                self._start()
            if task is not None:
                yield task, result

    def _result(self, answer: Any, actor: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(answer)
        except errors.RayTaskError as error:
            raise error.cause from error
        except (errors.RayActorError, errors.OutOfMemoryError, errors.NodeDiedError, errors.WorkerCrashedError):
            self._kill(actor)  # where it is merely out of reach
            return _Died()

    def _begin_again(self) -> None:
        """Start a worker for one that died as it began, so many times; from then on the others go on alone."""
        self._died_at_begin += 1
        if self._died_at_begin < TRIES * self._shape.workers:
            self._start()
        elif not self._running and not self.idle:
            raise TmkdError("every Ray worker died as it began (often: out of memory); see the logs of the Ray nodes")

    def _kill(self, actor: Any) -> None:
        self._alive.remove(actor)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(actor)

    def end(self) -> None:
        """End all workers, and wait until they have: none writes a file any more."""
        for actor in [*self._alive]:
            self._kill(actor)
        if self._running:
            self._ray.wait([*self._running], num_returns=len(self._running), timeout=_END)
