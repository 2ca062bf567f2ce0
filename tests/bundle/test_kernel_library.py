"""The compiled kernel at load: another version is refused, and so is what is no library; what is said of it."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import ClassVar

import pytest

from kernel_build import COMPILER
from tmkd.bundle import kernel_library
from tmkd.bundle.kernel_library import CPU_LEVELS, Batch, kernel_level, kernel_line, open_library

here = pytest.mark.skipif(kernel_level() == 0, reason="no compiled kernel, or a processor without AVX-512 VNNI")
compiled = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C compiler ({COMPILER})")
OTHER_VERSION = "its compiled library is of another version of tmkd; install tmkd again"


@pytest.fixture
def reloaded() -> Iterator[None]:
    caches = open_library, kernel_level, kernel_library.warn_of_unused_processor
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def load(reloaded: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str | None]:
    """Open this file as the compiled kernel; why it is refused."""

    def opened(library: Path) -> str | None:
        monkeypatch.setattr(
            kernel_library, "find_spec", lambda name: ModuleSpec(name, None, origin=str(library), is_package=False)
        )
        found, fault = open_library()
        assert (found is None) == (fault is not None)
        return fault

    return opened


def library_of(code: str, folder: Path) -> Path:
    source, library = folder / "kernel.c", folder / "kernel.so"
    source.write_text(code)
    subprocess.run([COMPILER, "-shared", "-fPIC", source, "-o", library], check=True)
    return library


@compiled
def test_a_library_that_knows_no_abi_is_refused(load: Callable[[Path], str | None], tmp_path: Path) -> None:
    assert load(library_of("int tmkd_level(void) { return 1; }", tmp_path)) == OTHER_VERSION
    assert kernel_level() == 0
    assert kernel_line() == f"kernel not used: {OTHER_VERSION}"


@compiled
def test_a_library_of_another_abi_is_refused_though_its_list_of_sizes_is_shorter(
    load: Callable[[Path], str | None], tmp_path: Path
) -> None:
    code = f"const long long tmkd_abi[1] = {{{kernel_library.ABI - 1}}}; int tmkd_level(void) {{ return 1; }}"
    assert load(library_of(code, tmp_path)) == OTHER_VERSION


@here
@pytest.mark.usefixtures("reloaded")
def test_the_library_is_refused_where_a_structure_has_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    class Longer(Batch):
        _fields_: ClassVar = [("more", ctypes.c_int64)]

    monkeypatch.setattr(kernel_library, "STRUCTURES", (*kernel_library.STRUCTURES[:-1], Longer))
    assert open_library() == (None, OTHER_VERSION)


def test_a_file_that_is_no_library_is_refused(load: Callable[[Path], str | None], tmp_path: Path) -> None:
    (tmp_path / "kernel.so").write_bytes(b"no library")
    fault = load(tmp_path / "kernel.so")
    assert fault is not None
    assert fault.startswith("its compiled library cannot be loaded")


@pytest.mark.usefixtures("reloaded")
def test_the_line_on_the_kernel_names_its_level_or_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_library, "open_library", lambda: (object(), None))
    for level, line in {
        0: "kernel not used: this processor has no AVX-512 VNNI",
        1: "kernel with AVX-512 VNNI",
        2: "kernel with AMX",
    }.items():
        monkeypatch.setattr(kernel_library, "kernel_level", lambda level=level: level)
        assert kernel_line() == line
    assert [*CPU_LEVELS] == [1, 2]
    monkeypatch.setattr(kernel_library, "open_library", lambda: (None, kernel_library._NOT_BUILT))
    assert kernel_line().startswith("kernel not built: tmkd was installed without it")
