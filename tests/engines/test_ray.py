"""Shape of the workers on a cluster, versions of its nodes, addresses; test_ray_cluster.py has a real cluster."""

from __future__ import annotations

import pytest

from tmkd import __version__
from tmkd.engines.ray import check_nodes, shape_of
from tmkd.engines.ray_pool import Shape
from tmkd.errors import TmkdError

TWO = [(16, 0), (16, 0)]


@pytest.mark.parametrize(
    ("nodes", "workers", "cuda", "shape"),
    [
        (TWO, None, False, Shape(32, 1, 0)),
        (TWO, 4, False, Shape(4, 8, 0)),
        (TWO, 3, False, Shape(3, 8, 0)),  # with ten CPUs each a third one would wait for ever
        ([(0, 0), (4, 0)], 2, False, Shape(2, 2, 0)),  # a head without CPUs
        ([(4, 0), (16, 4), (8, 2)], None, True, Shape(6, 4, 1)),
        ([(4, 0), (16, 4)], 2, True, Shape(2, 4, 1)),
        ([(1, 2)], None, True, Shape(2, 0, 1)),
        ([(4, 0)], None, True, Shape(4, 1, 0)),
        ([(4, 2)], None, False, Shape(4, 1, 0)),
    ],
)
def test_all_workers_fit_and_have_as_many_cpus_as_can_be(
    nodes: list[tuple[int, int]], workers: int | None, cuda: bool, shape: Shape
) -> None:
    assert shape_of(nodes, workers, cuda) == shape


@pytest.mark.parametrize(
    ("nodes", "workers", "cuda", "told"),
    [
        (TWO, 33, False, "33 workers were asked for, and the Ray cluster has 32 CPUs"),
        ([(0, 0)], None, False, "1 workers were asked for, and the Ray cluster has 0 CPUs"),
        ([(8, 2)], 3, True, "3 workers were asked for, and the Ray cluster has 2 CUDA devices"),
    ],
)
def test_more_workers_than_a_cluster_has_are_refused(
    nodes: list[tuple[int, int]], workers: int | None, cuda: bool, told: str
) -> None:
    with pytest.raises(TmkdError, match=told):
        shape_of(nodes, workers, cuda)


def test_a_node_without_the_package_or_with_another_version_is_named() -> None:
    check_nodes({"node a": __version__, "node b": __version__})
    with pytest.raises(TmkdError, match=f"^node b has no tmkd; install tmkd {__version__} there$"):
        check_nodes({"node a": __version__, "node b": None})
    with pytest.raises(TmkdError, match=f"^node b has tmkd 0.0.9, and this is tmkd {__version__}; install the same"):
        check_nodes({"node a": __version__, "node b": "0.0.9"})
