"""The pool on a stand-in for Ray that runs each call at once, in this process; test_ray_cluster.py has a real one."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tmkd.engines import ray_pool
from tmkd.engines.engine import PieceFiles, Work
from tmkd.engines.ray_pool import TRIES, Shape, do_pieces
from tmkd.errors import TmkdError
from tmkd.machine import SHARE


class RayError(Exception):
    """Base class, as Ray's."""


class RayActorError(RayError):
    """Ray's, raised here by work that kills its worker."""


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class StandIn:
    """What the pool uses of Ray."""

    exceptions = SimpleNamespace(
        RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError,
        OutOfMemoryError=RayActorError, NodeDiedError=RayActorError, WorkerCrashedError=RayActorError,
    )  # fmt: skip

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.actors: list[Any] = []
        self.ended: list[Any] = []
        self.options: dict[str, Any] = {}
        self.awaited: list[int] = []

    def put(self, value: Any) -> Any:
        return value

    def remote(self, kind: Callable[[int], Any]) -> Any:
        def options(**given: Any) -> Any:
            self.options = given
            return SimpleNamespace(remote=lambda threads: self._actor(kind(threads)))

        return SimpleNamespace(options=options)

    def _actor(self, worker: Any) -> Any:
        methods = {name: SimpleNamespace(remote=self._call(getattr(worker, name))) for name in ("begin", "do")}
        self.actors.append(SimpleNamespace(**methods))
        return self.actors[-1]

    def _call(self, method: Callable[..., Any]) -> Callable[..., int]:
        def call(*given: Any) -> int:
            try:
                self.answers.append(method(*given))
            except RayActorError as error:
                self.answers.append(error)
            except Exception as error:
                self.answers.append(RayTaskError(error))
            return len(self.answers) - 1

        return call

    def wait(self, answers: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        self.awaited = answers
        return answers[:num_returns], answers[num_returns:]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def get(self, answer: int) -> Any:
        if isinstance(self.answers[answer], Exception):
            raise self.answers[answer]
        return self.answers[answer]

    def kill(self, actor: Any) -> None:
        self.ended.append(actor)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    for name in (SHARE, "OMP_NUM_THREADS"):  # that workers set; the test's own are put back
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(ray_pool, "_node", lambda: "n1")
    return StandIn()


def deadly(deaths: dict[int, int]) -> Callable[[int], int]:
    """Work of which pieces kill so many workers."""

    def work(piece: int) -> int:
        deaths[piece] = deaths.get(piece, 0) - 1
        if deaths[piece] >= 0:
            raise RayActorError
        return 10 * piece

    return work


def run(ray: StandIn, make: Callable[..., Callable[[int], Any]], *given: Any, workers: int = 2) -> list[Any]:
    return list(do_pieces(ray, Work(make, given, "shard-{}".format), range(5), Shape(workers, 3, 0)))


def test_every_piece_is_done_by_as_many_workers_as_are_asked_for(ray: StandIn) -> None:
    assert sorted(run(ray, deadly, {})) == [(place, 10 * place) for place in range(5)]
    assert ray.options == {"num_cpus": 3, "num_gpus": 0, "max_restarts": 0, "max_task_retries": 0}
    assert len(ray.actors) == 2
    assert ray.ended == ray.actors


def test_a_piece_whose_worker_dies_is_done_by_another(ray: StandIn) -> None:
    assert sorted(run(ray, deadly, {1: TRIES - 1, 3: 1})) == [(place, 10 * place) for place in range(5)]
    assert len(ray.actors) == 2 + TRIES


def test_a_piece_that_kills_each_worker_is_named_when_all_others_are_done(ray: StandIn) -> None:
    stream = do_pieces(ray, Work(deadly, ({1: 99, 2: 99},), "shard-{}".format), range(5), Shape(2, 1, 0))
    assert sorted(next(stream) for _ in range(3)) == [(0, 0), (3, 30), (4, 40)]
    with pytest.raises(TmkdError, match=f"^shard-1, shard-2: {TRIES} workers died of it, one after the other"):
        next(stream)
    assert len(ray.ended) == len(ray.actors)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TmkdError("shard 3: damaged"), r"^on Ray node n1: shard 3: damaged$"),
        (OSError(errno.ENOSPC, "No space left on device"), r"^on Ray node n1: the disk is full; free some space there"),
    ],
)
def test_a_failure_is_told_with_its_node(ray: StandIn, error: Exception, told: str) -> None:
    def failing() -> Callable[[int], int]:
        def work(piece: int) -> int:
            raise error

        return work

    with pytest.raises(TmkdError, match=told):
        run(ray, failing)
    assert len(ray.ended) == 2


def test_a_failure_as_a_worker_begins_is_told_with_its_node(ray: StandIn) -> None:
    def failing() -> Callable[[int], int]:
        raise TmkdError("no such model")

    with pytest.raises(TmkdError, match=r"^on Ray node n1: no such model$"):
        run(ray, failing)


def test_workers_that_die_as_they_begin_are_not_replaced_for_ever(ray: StandIn) -> None:
    def dying() -> Callable[[int], int]:
        raise RayActorError

    with pytest.raises(TmkdError, match="every Ray worker died as it began"):
        run(ray, dying)
    assert len(ray.actors) <= 2 * TRIES + 2


def test_workers_that_die_as_they_begin_on_one_node_do_not_end_the_others(ray: StandIn) -> None:
    begun: list[int] = []

    def begins_once() -> Callable[[int], int]:
        begun.append(1)
        if len(begun) > 1:
            raise RayActorError
        return lambda piece: 10 * piece

    assert sorted(run(ray, begins_once)) == [(place, 10 * place) for place in range(5)]
    assert len(ray.actors) <= 2 * TRIES + 2


def test_pieces_are_taken_as_workers_get_free(ray: StandIn) -> None:
    taken: list[int] = []

    def pieces() -> Iterator[int]:
        for piece in range(100):
            taken.append(piece)
            yield piece

    stream = do_pieces(ray, Work(deadly, ({},)), pieces(), Shape(2, 1, 0))
    for _ in range(3):
        next(stream)
    assert len(taken) <= 5
    stream.close()  # type: ignore[attr-defined]
    assert len(ray.ended) == 2
    assert len(ray.awaited) == 1  # the one at work was waited for: it writes nothing any more


def test_without_a_piece_no_worker_is_begun(ray: StandIn) -> None:
    assert list(do_pieces(ray, Work(deadly, ({},)), [], Shape(2, 1, 0))) == []
    assert ray.actors == []


class Noted:
    """An exchange that notes its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def bring(self, path: Path) -> None:
        self.calls.append(("bring", path.name))

    def bring_file(self, path: Path) -> None:
        self.calls.append(("bring file", path.name))

    def put(self, path: Path) -> None:
        self.calls.append(("put", path.name))

    def drop(self, paths: Sequence[Path]) -> None:
        self.calls.append(("drop", " ".join(path.name for path in paths)))

    def take(self, path: Path) -> None:
        self.calls.append(("take", path.name))


def test_files_are_brought_before_they_are_read_and_put_once_they_are_written(ray: StandIn, tmp_path: Path) -> None:
    def writing(folder: Path) -> Callable[[int], None]:
        exchange.calls.append(("made", ""))

        def work(piece: int) -> None:
            exchange.calls.append(("done", str(piece)))
            if piece:  # a shard may have nothing in it
                (folder / f"out-{piece}").touch()

        return work

    def files(piece: int) -> PieceFiles:
        return PieceFiles((tmp_path / f"in-{piece}",), (tmp_path / f"out-{piece}",))

    exchange = Noted()
    work = Work(writing, (tmp_path,), files=files, reads=(tmp_path / "index",))
    assert len(list(do_pieces(ray, work, range(2), Shape(1, 1, 0), exchange))) == 2
    assert exchange.calls == [
        *[("bring", "index"), ("made", "")],
        *[("bring file", "in-0"), ("done", "0"), ("drop", "in-0 out-0"), ("take", "out-0")],
        *[("bring file", "in-1"), ("done", "1"), ("put", "out-1"), ("drop", "in-1 out-1"), ("take", "out-1")],
    ]
