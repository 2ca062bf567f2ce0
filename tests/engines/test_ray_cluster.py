"""The Ray engine on a real cluster: two nodes on this machine, one of which is killed, and what goes wrong there."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tiny
from ray_nodes import NODE, PAIRS, SHARDS, KillInTheMiddle, opener_of_a_teacher, rows, score
from tiny import World
from tmkd import __version__
from tmkd.data.pairs import Corpus
from tmkd.engines.engine import Work
from tmkd.engines.local import LocalEngine
from tmkd.engines.ray import RayEngine
from tmkd.errors import TmkdError
from tmkd.store import digest_path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings


@pytest.fixture(scope="module")
def ray(optional: Callable[[str, str], ModuleType]) -> ModuleType:
    return optional("ray", "ray")


@pytest.fixture(scope="module")
def cluster(ray: ModuleType) -> Iterator[Any]:
    """A head with a CPU; tests add a second node."""
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args=NODE)
    yield started
    ray.shutdown()
    started.shutdown()


@pytest.fixture
def second(cluster: Any) -> Iterator[Any]:
    """The second node."""
    node = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


def test_a_node_killed_in_the_middle_costs_nothing_but_its_shard(
    cluster: Any, second: Any, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    opener, pairs = opener_of_a_teacher(tmp_path), corpus(rows(), shard_rows=PAIRS // SHARDS)
    assert (len(pairs), len(pairs.shards)) == (PAIRS, SHARDS)
    killed = KillInTheMiddle(cluster, second)
    score(opener, pairs, tmp_path / "ray", RayEngine(cluster.address), killed)
    assert PAIRS // 3 <= killed.at < PAIRS
    score(opener, pairs, tmp_path / "local", LocalEngine())
    assert len(list((tmp_path / "local").iterdir())) == SHARDS
    assert digest_path(tmp_path / "ray") == digest_path(tmp_path / "local")


def test_a_run_on_a_cluster_makes_the_same_pairs_and_logits(cluster: Any, second: Any, finished: World) -> None:
    places = [finished.run / place for place in ("index/web", "pairs/web", "softlabels/web/t1")]
    before = {
        path: path.read_bytes() for place in places for path in place.glob("[!.]*.*") if path.name != "manifest.json"
    }
    assert {path.suffix for path in before} == {".arrow", ".parquet", ".json", ".safetensors"}
    for place in places:
        shutil.rmtree(place)
    # Named by a relative path: workers have another working folder.
    words = ("run", finished.recipe, "--runs", finished.runs.name, "--engine", "ray", "--set")
    nobody = tiny.tmkd(*words, "engine.address=127.0.0.1:1", cwd=finished.runs.parent)
    assert nobody.returncode == 1
    assert "no Ray cluster answers at 127.0.0.1:1" in nobody.stderr  # so nothing but Ray makes shards
    done = tiny.tmkd(*words, f"engine.address={cluster.address}", cwd=finished.runs.parent)
    assert done.returncode == 0, done.stderr
    assert "\n3 steps done now, " in done.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_a_shard_that_kills_each_worker_is_named_when_all_others_are_done(
    cluster: Any, second: Any, tmp_path: Path
) -> None:
    def deadly(folder: Path) -> Callable[[int], None]:
        def work(piece: int) -> None:
            if piece == 1:
                os._exit(1)
            (folder / str(piece)).touch()

        return work

    work = Work(deadly, (tmp_path,), "shard-{}".format)
    with pytest.raises(TmkdError, match=r"^shard-1: 3 workers died of it, one after the other"):
        list(RayEngine(cluster.address).map(work, range(9), 9))
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(piece) for piece in range(9) if piece != 1]


def test_a_full_disk_of_a_node_is_told_in_a_line(cluster: Any) -> None:
    def full() -> Callable[[int], None]:
        def work(piece: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        return work

    with pytest.raises(TmkdError, match=r"^on Ray node .+: the disk is full; free some space there") as failure:
        list(RayEngine(cluster.address).map(Work(full, ()), range(2), 2))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("code", "told"),
    [("__version__ = '0.0.9'", "has tmkd 0.0.9, and this is"), ("raise ImportError('none')", "has no tmkd; install")],
)
def test_a_node_with_another_version_or_none_is_named(cluster: Any, tmp_path: Path, code: str, told: str) -> None:
    (tmp_path / "tmkd").mkdir()
    (tmp_path / "tmkd" / "__init__.py").write_text(code)
    node = cluster.add_node(**NODE, env_vars={"PYTHONPATH": str(tmp_path)})
    try:
        with pytest.raises(TmkdError, match=rf"^Ray node .+ {told} .*{__version__}"):
            RayEngine(cluster.address).check()
    finally:
        cluster.remove_node(node)
    RayEngine(cluster.address).check()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no.such.host.invalid:6379", "auto"])
def test_an_address_where_nothing_answers_is_told_in_a_line(ray: ModuleType, tmp_path: Path, address: str) -> None:
    code = f"from tmkd.engines.ray import RayEngine; RayEngine({address!r}).check()"
    environment = {**tiny.environment(), "RAY_ADDRESS": "127.0.0.1:1"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    reached = address if address != "auto" else "127.0.0.1:1"
    assert last.startswith(f"tmkd.errors.TmkdError: no Ray cluster answers at {reached} (")
    assert last.endswith("start one with: ray start --head, or see engine.address in the recipe")
