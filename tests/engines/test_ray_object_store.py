"""A run in object storage on two Ray nodes, one of which is killed: 20,000 pairs, and the benchmark on a tiny world."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import tiny
from object_server import BUCKET, Proxy
from ray_nodes import NODE, PAIRS, SHARDS, KillInTheMiddle, opener_of_a_teacher, rows, score
from tiny import World
from tmkd.data.pairs import Corpus
from tmkd.engines.local import LocalEngine
from tmkd.engines.ray import RayEngine
from tmkd.object_store.remote_run import RemoteRun
from tmkd.store import MANIFEST, digest_file, write_manifest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings
ROOT = Path(__file__).parents[2]


def test_a_node_killed_in_the_middle_costs_nothing_but_its_shard(
    s3: Proxy, optional: Callable[[str, str], ModuleType], corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    ray = optional("ray", "ray")
    from ray.cluster_utils import Cluster

    opener, run = opener_of_a_teacher(tmp_path), RemoteRun(f"s3://{BUCKET}/runs/tiny")
    pairs, logits = run.folder / "pairs" / "web", run.folder / "softlabels" / "web" / "t1"
    cluster = Cluster(initialize_head=True, head_node_args=NODE)  # after the environment is set, which its nodes have
    try:
        killed = KillInTheMiddle(cluster, cluster.add_node(**NODE))
        cluster.wait_for_nodes()
        with run.locked(pytest.fail):
            with run.making(pairs, (), {}):
                corpus(rows(), PAIRS // SHARDS, str(pairs))
                write_manifest(pairs, "collect/web", {}, {}, {}, 0.0)
            for shard in Corpus.open(pairs).shards:  # workers have to bring them
                (pairs / shard.name).unlink()
            engine = RayEngine(cluster.address, exchange=run.exchange())
            with run.making(logits, ("*.safetensors",), {}):
                score(opener, Corpus.open(pairs), logits, engine, killed)
                write_manifest(logits, "score/web/t1", {}, {}, {}, 0.0)
            run.release()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert PAIRS // 3 <= killed.at < PAIRS
    run.bring(pairs)
    score(opener, Corpus.open(pairs), tmp_path / "local", LocalEngine())
    local = {path.name: digest_file(path) for path in (tmp_path / "local").iterdir()}
    assert len(local) == SHARDS
    there = {path.name: digest for path in logits.iterdir() if (digest := run.objects.sha256(run.name(path)))}
    assert local == {name: digest for name, digest in there.items() if name != MANIFEST}


def test_its_artifacts_have_the_digests_of_a_local_run(
    s3: Proxy, optional: Callable[[str, str], ModuleType], finished: World
) -> None:
    optional("ray", "ray")
    tiny.change(finished.recipe, "export", {"row": "tmkd", "force": True})
    tiny.change(finished.recipe, "serve", {"collect": "web", "top": 3, "keep": 2, "threshold": 0.25})
    local = tiny.tmkd("run", finished.recipe, "--runs", finished.runs)
    assert local.returncode == 0, local.stderr
    words = (finished.recipe, "--local", finished.runs, "--runs", f"s3://{BUCKET}/runs")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cluster_run", *map(str, words)],
        cwd=ROOT, env={**tiny.environment(), **os.environ}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a node killed after" in done.stdout
    for name in ("index/web", "questions/web", "pairs/web", "softlabels/web/t1", "softlabels/toy/train/t2", "lookup"):
        assert f"{name}: same" in done.stdout
