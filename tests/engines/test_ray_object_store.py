"""A run in object storage on a Ray cluster of two nodes, one of which is killed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tiny
from object_server import BUCKET, Proxy
from tiny import World
from tmkd.object_store.objects import Objects
from tmkd.store import MANIFEST, read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
RUNS = f"s3://{BUCKET}/runs"


@pytest.fixture
def cluster(s3: Proxy, optional: Callable[[str, str], ModuleType]) -> Iterator[Any]:
    """A cluster of two nodes with a CPU each, which know the server and its credentials."""
    optional("ray", "ray")
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args=NODE)
    started.second = started.add_node(**NODE)
    started.wait_for_nodes()
    yield started
    started.shutdown()


def test_its_artifacts_have_the_digests_of_a_local_run(cluster: Any, finished: World, tmp_path: Path) -> None:
    objects = Objects(f"{RUNS}/tiny")
    address = f"engine.address={cluster.address}"
    words = ("run", finished.recipe, "--runs", RUNS, "--engine", "ray", "--set", address)
    with (tmp_path / "err").open("w") as err:
        run = subprocess.Popen(tiny.command(*words), env={**tiny.environment(), **os.environ}, stderr=err)
        for _ in range(3000):
            if run.poll() is not None or any(objects.list("index/web")):
                break
            time.sleep(0.1)
        assert run.poll() is None
        cluster.remove_node(cluster.second, allow_graceful=False)
        assert run.wait() == 0, (tmp_path / "err").read_text()
    (cache,) = (tmp_path / "cache").glob("*/tiny")
    made = {path.parent.relative_to(cache).as_posix(): path.parent for path in cache.rglob(MANIFEST)}
    for name in ("index/web", "questions/web", "pairs/web", "softlabels/web/t1", "softlabels/toy/train/t2"):
        mine, local = read_manifest(made[name]), read_manifest(finished.run / name)
        assert mine is not None
        assert local is not None
        assert mine.digest == local.digest, name
