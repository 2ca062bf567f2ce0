"""The scripts for a GPU, whole, at tiny sizes on the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*arguments: str | Path) -> str:
    """Run a module from the project's folder; returns what it printed."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_speeds_are_measured_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    told = run("benchmarks.gpu.speed", "--out", tmp_path, "--tiny")
    kept = json.loads((tmp_path / "speed.json").read_bytes())
    assert not [name for name in kept if name.startswith("failed")]
    assert kept["matmul_flops"] > 0
    assert all(row["what"] in told for row in kept["rows"])
    ratios = [row["what"] for row in kept["rows"] if "ratio" in row]
    assert sum("ours" in what for what in ratios) == 6
    assert sum("CrossEncoder" in what for what in ratios) == 3
