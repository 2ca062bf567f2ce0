"""Ray engine: workers are actors of a Ray cluster, which starts them on its nodes."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from tmkd.engines.engine import Done, Exchange, Piece, Result, Work
from tmkd.engines.ray_pool import Shape, do_pieces
from tmkd.errors import TmkdError, first_line, optional_import

_ANSWER_SECONDS = 5.0  # for the head's port
_PROBE_SECONDS = 120.0  # for a node to start a process and import tmkd


@dataclass(frozen=True)
class RayEngine:
    """Engine on a Ray cluster: `address` is HOST:PORT of its head, or `auto`; `workers` have equal numbers of CPUs.

    Without a number: a worker per CPU, or per CUDA device for work that takes one. All nodes see the run's folder, or
    have files of it by `exchange`.
    """

    address: str = "auto"
    workers: int | None = None
    exchange: Exchange | None = None

    def check(self) -> None:
        """Check that the cluster answers, and that each node has this tmkd.  Raises: TmkdError naming the node."""
        ray = _connected(self.address)
        check_nodes(_versions(ray))
        self._shape(ray, cuda=False)

    def map(self, work: Work[Piece, Result], pieces: Iterable[Piece], most: int) -> Iterator[Done[Result]]:
        """As the protocol says. A piece whose worker dies is done by another; one of which three have died is named.

        Raises: the first exception of the work, with the node in its message; TmkdError for pieces whose workers died,
        once all others are done, and when the cluster is gone.
        """
        ray = _connected(self.address)
        shape = self._shape(ray, work.cuda)
        shape = shape._replace(workers=max(1, min(shape.workers, most)))
        try:
            yield from do_pieces(ray, work, pieces, shape, self.exchange)
        except ray.exceptions.RayError as error:
            raise TmkdError(f"Ray: {first_line(error)}; run the same command again, it resumes") from error

    def _shape(self, ray: ModuleType, cuda: bool) -> Shape:
        resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return shape_of([(int(one.get("CPU", 0)), int(one.get("GPU", 0))) for one in resources], self.workers, cuda)


def shape_of(nodes: Sequence[tuple[int, int]], workers: int | None, cuda: bool) -> Shape:
    """Shape of the workers on nodes of so many (CPUs, CUDA devices): all workers fit, and have as many CPUs as can be.

    Raises: TmkdError when the cluster has fewer CPUs or CUDA devices than workers.
    """
    cpus, gpus = (sum(one) for one in zip(*nodes, strict=True))
    on_gpus = cuda and gpus > 0
    have, what = (gpus, "CUDA devices") if on_gpus else (cpus, "CPUs")
    if have < (workers or 1):
        raise TmkdError(f"{workers or 1} workers were asked for, and the Ray cluster has {have} {what}")
    if on_gpus:
        return Shape(workers or gpus, min(cpu // gpu for cpu, gpu in nodes if gpu), 1)
    if workers is None:
        return Shape(cpus, 1, 0)
    return Shape(workers, max(n for n in range(1, cpus + 1) if sum(cpu // n for cpu, _ in nodes) >= workers), 0)


def check_nodes(versions: dict[str, str | None]) -> None:
    """Compare nodes' versions of tmkd, None where it cannot be imported.  Raises: TmkdError naming the first other."""
    from tmkd import __version__

    for node, found in versions.items():
        if found is None:
            raise TmkdError(f"{node} has no tmkd; install tmkd {__version__} there")
        if found != __version__:
            raise TmkdError(f"{node} has tmkd {found}, and this is tmkd {__version__}; install the same on all nodes")


def _versions(ray: ModuleType) -> dict[str, str | None]:
    """Version of tmkd on each node that has CPUs.  Raises: TmkdError for a node that does not answer."""

    def version() -> str | None:  # within a function: Ray sends its code, and no name in a package that may be absent
        try:
            import tmkd
        except ImportError:
            return None
        return tmkd.__version__

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = ray.remote(num_cpus=0, max_retries=0)(version)
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    asked = {
        f"Ray node {node['NodeManagerHostname']} ({node['NodeID'][:8]})": probe.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
    }
    found: dict[str, str | None] = {}
    for name, answer in asked.items():
        try:
            found[name] = ray.get(answer, timeout=_PROBE_SECONDS)
        except ray.exceptions.RayError as error:
            raise TmkdError(f"{name} does not answer: {first_line(error)}") from error
    return found


def _connected(address: str) -> Any:
    """The module `ray`, connected to the cluster.  Raises: TmkdError when nothing answers there."""
    with optional_import("engine: ray needs", "ray"):
        import ray
    if ray.is_initialized():
        return ray
    asked = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    try:
        if ":" in asked:  # Ray itself would try for minutes
            host, _, port = asked.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
        ray.init(asked, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise TmkdError(
            f"no Ray cluster answers at {asked} ({first_line(error)}); start one with: ray start --head, or see "
            "engine.address in the recipe"
        ) from error
    return ray
