"""The kernel's tests once more, under the address and the undefined-behaviour sanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_build import EXTRA_FLAGS, ROOT, no_build

FLAGS = "-O2 -g -fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.mark.slow
def test_no_sanitizer_finds_anything() -> None:
    fault = no_build()
    if fault:
        pytest.skip(fault)
    runtime = gcc_runtime()
    if runtime is None:
        pytest.skip("no gcc with a shared libasan, which must be loaded before Python")
    options = {"CC": "gcc", EXTRA_FLAGS: FLAGS, "LD_PRELOAD": str(runtime), "ASAN_OPTIONS": "detect_leaks=0"}
    folder = Path(__file__).parent
    tests = [f"--confcutdir={folder}", "-p", "no:cacheprovider", f"--ignore={folder / 'test_setup.py'}", str(folder)]
    command = [sys.executable, "-m", "pytest", "-s", "-m", "not slow", *tests]
    done = subprocess.run(command, env={**os.environ, **options}, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def gcc_runtime() -> Path | None:
    """gcc's shared library of the address sanitizer, if it is there."""
    if shutil.which("gcc") is None:
        return None
    command = ["gcc", "-print-file-name=libasan.so"]
    runtime = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    return runtime if runtime.is_file() else None
