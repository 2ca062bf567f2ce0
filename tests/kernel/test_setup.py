"""setup.py's build of the kernel: level 1 alone by a compiler without AMX, and no failure without a compiler."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_build import COMPILER, ROOT

pytest.importorskip("setuptools", "77", reason="pyproject.toml needs setuptools 77")
compiled = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which(COMPILER) is None, reason="no Linux with a C compiler"
)


def build(folder: Path, compiler: str | Path) -> list[Path]:
    """The extensions that setup.py makes with this compiler."""
    places = [f"--build-lib={folder / 'lib'}", f"--build-temp={folder / 'temp'}"]
    command = [sys.executable, "setup.py", "-q", "build_ext", *places]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "CC": str(compiler)}, check=True, capture_output=True)
    return sorted((folder / "lib").rglob("_kernel*"))


@compiled
def test_a_compiler_without_amx_builds_level_1(tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *amx.flags*) exit 1;; esac\nexec {COMPILER} "$@"\n')
    compiler.chmod(0o755)
    (library,) = build(tmp_path, compiler)
    assert ctypes.c_int.in_dll(ctypes.CDLL(str(library)), "tmkd_compiled_level").value == 1


def test_an_installation_without_a_compiler_succeeds_without_the_kernel(tmp_path: Path) -> None:
    assert build(tmp_path, tmp_path / "missing") == []
