"""Map of a pure function over many pieces, in this process or in several, with the results in order."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from tmkd.errors import TmkdError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_work: Callable[[Any], Any]  # of a worker process, made once by `_begin`


def map_in_processes(
    make: Callable[..., Callable[[Piece], Result]], given: tuple[Any, ...], pieces: Iterable[Piece], processes: int
) -> Iterator[Result]:
    """`make(*given)` gives the function that does a piece; yields its results in the pieces' order.

    With several processes each makes its own function once; when the caller stops taking results, at most two
    pieces per process were done in vain. Raises: whatever the work raises; TmkdError when a process dies.
    """
    if processes <= 1:
        work = make(*given)
        yield from map(work, pieces)
        return
    # Spawned, not forked: a fork copies the locks of threads that are not there to open them again.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (os.getpid(), make, given))
    stream = iter(pieces)
    try:
        waiting: deque[Future[Result]] = deque(pool.submit(_do, piece) for piece in islice(stream, 2 * processes))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(_do, piece) for piece in islice(stream, 1))
            yield result
    except BrokenProcessPool as error:
        raise TmkdError("a worker was killed (often: out of memory); run the same command again, it resumes") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int, make: Callable[..., Callable[[Any], Any]], given: tuple[Any, ...]) -> None:
    global _work
    end_with(parent)
    _work = make(*given)


def end_with(parent: int) -> None:
    """End this process with the one that began it, also when that one was killed and could not say so."""
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _do(piece: Any) -> Any:
    return _work(piece)
