"""Server of one process, or of several that share a port; a process that dies is started again."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from tmkd.errors import TmkdError, UsageError
from tmkd.machine import share_of_cores
from tmkd.serve.metrics import MULTIPROCESS
from tmkd.serve.worker import ServerSettings, address, listen, serve

Tell = Callable[[str], object]
_QUICK = 5.0  # seconds: a process that dies sooner after its start would die again
_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the locks of threads that are not there


def run_server(settings: ServerSettings, workers: int, tell: Tell) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises: TmkdError when a folder is damaged, the address is taken, or a process dies at its start; UsageError for
    several workers where sockets cannot be shared.
    """
    if workers == 1:
        bound = listen(settings.host, settings.port)
        serve(settings, bound, started=lambda line: tell(f"ready: {address(bound)}  ({line})"))
        return
    if sys.platform != "linux":
        raise UsageError("--workers above 1 needs Linux, where several processes can listen on one port")
    Supervisor(settings, workers, tell).run()


class Supervisor:
    """Supervisor of several processes that listen on one port, with a socket of their own each (SO_REUSEPORT).

    The kernel gives a connection to one of them, with which it stays.
    """

    def __init__(self, settings: ServerSettings, workers: int, tell: Tell) -> None:
        self._settings, self._count, self._tell = settings, workers, tell
        self._threads = share_of_cores(workers)
        self._ending = False
        # Bound and never listening: it holds the port, and no connection comes to it.
        self._reserved = listen(settings.host, settings.port, shared=True)
        self._port: int = self._reserved.getsockname()[1]
        self._workers: dict[int, tuple[BaseProcess, Connection, float]] = {}

    def run(self) -> None:
        """Start the processes, and start again each that dies, until a signal ends them."""
        metrics = tempfile.mkdtemp(prefix="tmkd-metrics-")
        os.environ[MULTIPROCESS] = metrics
        before = {kind: signal.signal(kind, self._end) for kind in (signal.SIGTERM, signal.SIGINT)}
        try:
            lines = [self._start() for _ in range(self._count)]
            self._tell(f"ready: {address(self._reserved)}  ({self._count} workers; {lines[0]})")
            while not self._ending:
                self._watch()
        finally:
            self._stop()
            self._reserved.close()
            for kind, handler in before.items():
                signal.signal(kind, handler)
            shutil.rmtree(metrics, ignore_errors=True)

    def _end(self, kind: int, frame: FrameType | None) -> None:
        self._ending = True

    def _start(self) -> str:
        """Start a process and wait until it is ready; the line that it sends then.  Raises: TmkdError."""
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=_serve_shared, args=(self._settings, self._port, self._threads, theirs), name="tmkd-worker"
        )
        process.start()
        theirs.close()
        try:
            ready, line = ours.recv()
        except EOFError:
            ready, line = False, "a worker died at its start (often: out of memory)"
        if not ready:
            process.join()
            raise TmkdError(line)
        if process.pid is not None:
            self._workers[process.pid] = process, ours, time.monotonic()
        return str(line)

    def _watch(self) -> None:
        """Wait a little for a process to die, and start another in its place."""
        wait([process.sentinel for process, _, _ in self._workers.values()], timeout=0.2)
        dead = [(pid, *one) for pid, one in self._workers.items() if one[0].exitcode is not None]
        for pid, process, pipe, began in dead:
            del self._workers[pid]
            pipe.close()
            _forget(pid)
            if self._ending:
                continue
            self._tell(f"worker {pid} ended with {process.exitcode}; another takes its place")
            if time.monotonic() - began < _QUICK:
                time.sleep(1)
            self._start()

    def _stop(self) -> None:
        """Let the processes drain, and kill those that do not end within the grace time."""
        for process, _, _ in self._workers.values():
            process.terminate()
        until = time.monotonic() + self._settings.grace_seconds + 2
        for process, pipe, _ in self._workers.values():
            process.join(max(until - time.monotonic(), 0))
            if process.exitcode is None:
                process.kill()
                process.join()
            pipe.close()


def _forget(pid: int) -> None:
    """Remove a dead process's part of the gauges; its counts stay."""
    for path in Path(os.environ[MULTIPROCESS]).glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)


def _serve_shared(settings: ServerSettings, port: int, threads: int, pipe: Connection) -> None:
    """Serve in a process of its own; the pipe gets (True, line) when ready, (False, reason) when that fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the supervisor ends them
    bound: socket.socket | None = None
    try:
        bound = listen(settings.host, port, shared=True)
        serve(settings, bound, threads, started=lambda line: pipe.send((True, line)), parent=pipe.fileno())
    except TmkdError as error:
        pipe.send((False, str(error)))
    finally:
        if bound is not None:
            bound.close()
