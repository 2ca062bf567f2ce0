"""The benchmark of engines at a small size."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tiny

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def printed(*words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engines", *map(str, words)],
        cwd=ROOT, env=tiny.environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scoring_is_told_with_its_start_up_and_cost(tmp_path: Path) -> None:
    model = tiny.write_encoder(tmp_path / "model")
    told = printed("score", "--model", model, "--folder", tmp_path, "--pairs", 40, 80, "--workers", 1)
    costs = re.findall(r"local +(\d+) pairs: start-up [\d.]+ s, work [\d.]+ s, .*; ([\d.]+) µs a pair", told)
    assert [pairs for pairs, _ in costs] == ["40", "80"]
    assert all(float(cost) > 0 for _, cost in costs)
    assert "local        40 pairs:" in told
    assert "+0.0% (within 10%) against the first" in told


def test_the_bookkeeping_of_empty_shards_is_told(tmp_path: Path) -> None:
    told = printed("driver", "--folder", tmp_path, "--shards", 5, 9)
    for shards in (5, 9):
        lines = [line for line in told.splitlines() if f" {shards} shards: " in line]
        assert len(lines) == 9
        assert f", {shards} results" in told
