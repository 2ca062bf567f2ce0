"""The kernel's tests once more, under the address and the undefined-behaviour sanitizer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_build import COMPILER, EXTRA_FLAGS, ROOT, no_build

FLAGS = "-O2 -g -fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.mark.slow
def test_no_sanitizer_finds_anything(tmp_path: Path) -> None:
    fault = no_build()
    if fault:
        pytest.skip(fault)
    empty = tmp_path / "empty.c"
    empty.touch()
    tried: list[str | Path] = [COMPILER, *FLAGS.split(), "-shared", "-fPIC", empty, "-o", tmp_path / "empty.so"]
    if subprocess.run(tried, capture_output=True).returncode:
        pytest.skip(f"{COMPILER} has no sanitizers")
    named = [COMPILER, "-print-file-name=libasan.so"]
    runtime = subprocess.run(named, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(runtime).is_file():
        pytest.skip(f"{COMPILER} has no shared libasan to load before Python")
    env = {**os.environ, EXTRA_FLAGS: FLAGS, "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}
    folder = Path(__file__).parent
    words: list[str | Path] = [
        "-m",
        "pytest",
        "-s",
        "-m",
        "not slow",
        f"--confcutdir={folder}",
        "-p",
        "no:cacheprovider",
        folder,
    ]
    done = subprocess.run([sys.executable, *words], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
