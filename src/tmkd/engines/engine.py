"""Engine protocol: pure work over many pieces, and the helpers of those who take its results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Done = tuple[int, Result]  # place of a piece among the pieces, and its result


class PieceFiles(NamedTuple):
    """Files that a piece is done from, and those that it is written to."""

    read: tuple[Path, ...] = ()
    written: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Work(Generic[Piece, Result]):
    """Pure function of a piece, which `make(*given)` builds once a worker: models are loaded there.

    Pieces and results are small: paths, numbers, a few texts. `name` is a piece's name in messages, `files` are its
    files, `reads` the finished artifacts that every worker reads.

    `threaded` work computes on all cores of its worker, so its last bits may depend on their number: that is the same
    for every worker, however few pieces there are. `spread` work has a worker per core unless workers are asked for,
    other work has one. `cuda` work takes a CUDA device a worker where there are some.
    """

    make: Callable[..., Callable[[Piece], Result]]
    given: tuple[Any, ...]
    name: Callable[[Piece], str] = str
    files: Callable[[Piece], PieceFiles] = lambda piece: PieceFiles()
    reads: tuple[Path, ...] = ()
    threaded: bool = False
    spread: bool = True
    cuda: bool = False


class Engine(Protocol):
    """Engine that does work in several workers, each in a process of its own."""

    def check(self) -> None:
        """Check, before work that takes hours, that there are workers.  Raises: TmkdError."""

    def map(self, work: Work[Piece, Result], pieces: Iterable[Piece], most: int) -> Iterator[Done[Result]]:
        """Do pieces, and yield each one's place and result as soon as it is done; `most` workers have enough to do.

        Pieces are taken as workers get free. Raises: the first exception of the work; TmkdError when workers die.
        """


class Exchange(Protocol):
    """Exchange of a run's files with workers that have a copy of its folder; it is sent to them."""

    def bring(self, artifact: Path) -> None:
        """Bring a finished artifact to a worker before it reads it."""

    def bring_file(self, path: Path) -> None:
        """Bring a file of an artifact to a worker before it reads it."""

    def put(self, path: Path) -> None:
        """Put a file that a worker has written where `take` finds it."""

    def drop(self, paths: Sequence[Path]) -> None:
        """Remove files of a piece that is done from a worker's machine, unless the command runs there."""

    def take(self, path: Path) -> None:
        """Take a file that a worker has put into the run's own folder."""


def in_order(results: Iterable[Done[Result]]) -> Iterator[Done[Result]]:
    """Results in the order of their pieces; those that come early wait."""
    early: dict[int, Result] = {}
    turn = 0
    for place, result in results:
        early[place] = result
        while turn in early:
            yield turn, early.pop(turn)
            turn += 1


class OnlyHere:
    """Callback with a number that is called in this process alone: a copy in a worker's does nothing."""

    def __init__(self, call: Callable[[int], None] | None) -> None:
        self._call = call

    def __call__(self, number: int) -> None:
        if self._call is not None:
            self._call(number)

    def __reduce__(self) -> tuple[type[OnlyHere], tuple[None]]:
        return OnlyHere, (None,)
