"""Progress of long work on stderr: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EVERY_SECONDS = 10.0

Report = Callable[[int, int], None]


@contextmanager
def progress(title: str, unit: str) -> Iterator[Report]:
    """Give a function (done, total) that prints how far the work is, its speed in units/s and the time left.

    A total of 0 is unknown.
    """
    start = time.perf_counter()
    printed = start

    def report(done: int, total: int) -> None:
        nonlocal printed
        now = time.perf_counter()
        if now - printed < (0.5 if sys.stderr.isatty() else _EVERY_SECONDS) or not done:
            return
        printed = now
        speed = done / (now - start)
        of, left = (f"/{total:,}", f", {clock((total - done) / speed)} left") if total else ("", "")
        line = f"{title}: {done:,}{of} {unit}, {speed:,.0f} {unit}/s{left}"
        end = "\r" if sys.stderr.isatty() else "\n"
        print(f"{line:<100}" if end == "\r" else line, end=end, file=sys.stderr, flush=True)

    try:
        yield report
    finally:  # also where an error message comes next
        if sys.stderr.isatty():
            print(" " * 100, end="\r", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """A duration for people: 42 s, 3 min 5 s, 2 h 4 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
