"""The script that measures training beside others, whole, at tiny sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_our_loop_is_measured_beside_a_bare_one_and_a_commit() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    sizes = ["--tiny", "--rounds", "1", "--loop-pairs", "160", "--fit-pairs", "40", "--pairs", "16", "--threads", "1"]
    here = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    commit = ["--commit", here.stdout.strip()] if here.returncode == 0 else []
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train", *sizes, *commit],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if " × (" in line] == ["bare loop", *(["commit"] if commit else [])]
    assert "1 threads" in lines[0]
