"""Processes that train side by side on one device; what follows a result is said where the work is given out."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from benchmarks.gpu.models import Models

from tmkd.recipe.reader import read_recipe
from tmkd.train.hardware import pick_hardware

_own: list[Models] = []  # of a process of the pool


def _open(recipe: Path, changes: Sequence[str], inputs: Path, shared: Path) -> None:
    torch.set_num_threads(1)
    read = read_recipe(recipe, changes)
    _own.append(Models(read, inputs, shared, pick_hardware(read.device, read.precision)))


def _call(method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_own[0], method)(*arguments)


class Pool:
    """Processes that call methods of `Models`, each with its own; at a small batch one alone leaves a device idle."""

    def __init__(
        self, processes: int, recipe: Path, changes: Sequence[str], inputs: Path, shared: Path, until: float
    ) -> None:
        self._pool = get_context("spawn").Pool(processes, _open, (recipe, changes, inputs, shared))
        self._until, self._open, self.failed = until, 0, dict[str, str]()
        self._done: queue.SimpleQueue[tuple[str, Callable[[Any], None], Any]] = queue.SimpleQueue()

    def start(self, what: str, then: Callable[[Any], None], method: str, *arguments: Any) -> None:
        """Call a method of `Models` as soon as a process is free; `then` gets its result, here, in `wait`."""
        self._open += 1
        self._pool.apply_async(
            _call,
            (method, arguments),
            callback=lambda result: self._done.put((what, then, result)),
            error_callback=lambda error: self._done.put((what, then, error)),
        )

    def wait(self) -> bool:
        """Handle results until no call is open; False when the time is over before. A failed call is kept and told."""
        while self._open:
            try:
                what, then, result = self._done.get(timeout=max(self._until - time.perf_counter(), 0.01))
            except queue.Empty:
                return False
            self._open -= 1
            if isinstance(result, BaseException):
                self.failed[what] = repr(result)
                print(f"{what} failed: {result!r}", flush=True)
            else:
                then(result)
        return True

    def end(self) -> None:
        """End the processes, whatever they do."""
        self._pool.terminate()
        self._pool.join()
