"""The kernel's primitives at each level that can be tested here."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel_build import ROOT, Build, compile_kernel, no_build
from tmkd.machine import processor_flags

AMX_FLAGS = {"amx_tile", "amx_int8", "amx_bf16"}


@pytest.fixture(scope="session")
def software(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Level 2 with the tile instructions in software; its functions also run at level 1."""
    fault = no_build()
    if fault:
        pytest.skip(fault)
    flags = ["-mavx512bf16"] if "avx512_bf16" in processor_flags() else []
    library = tmp_path_factory.mktemp("software") / "kernel.so"
    return Build(compile_kernel(library, "-DTMKD_SOFTWARE_TILES", f"-I{Path(__file__).parent}", *flags), 2)


@pytest.fixture(scope="session")
def amx(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Level 2 with AMX."""
    fault = no_build()
    if fault:
        pytest.skip(fault)
    library = compile_kernel(tmp_path_factory.mktemp("amx") / "kernel.so", f"@{ROOT / 'src/kernel/amx.flags'}")
    if library.tmkd_level() < 2:
        pytest.skip("a system that lends no tiles")
    return Build(library, 2)


AMX = ["level 2"] if processor_flags() >= AMX_FLAGS else []


@pytest.fixture(params=["level 1", "level 2 in software", *AMX])
def build(request: pytest.FixtureRequest) -> Build:
    """Each level in turn."""
    if request.param == "level 2":
        return request.getfixturevalue("amx")
    software: Build = request.getfixturevalue("software")
    return Build(software.library, 1) if request.param == "level 1" else software
