"""A run in object storage on a Ray cluster of two nodes, one of which is killed: the benchmark on a tiny world."""

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
from tiny import World

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


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
