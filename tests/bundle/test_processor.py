"""Which graph a processor gets, from what it says of itself."""

from __future__ import annotations

import pytest

from tmkd.bundle.processor import best_precision, flags

XEON = "processor : 0\nmodel name : X\nflags : fpu avx2 avx512f avx512_vnni\n\nprocessor : 1\nflags : fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"


def test_instruction_sets_are_those_of_the_first_processor() -> None:
    assert flags(XEON) == {"fpu", "avx2", "avx512f", "avx512_vnni"}
    assert flags(ARM) == {"fp", "asimd", "asimddp"}
    assert flags("no such line") == frozenset()


@pytest.mark.parametrize(
    ("instructions", "machine", "precision"),
    [
        (flags(XEON), "x86_64", "int8"),
        ({"avx2", "avx_vnni"}, "x86_64", "int8"),
        ({"avx2", "avx512f", "avx512bw"}, "x86_64", "fp32"),
        ({"avx2"}, "x86_64", "fp32"),
        (flags(ARM), "aarch64", "int8"),
        ({"asimd"}, "aarch64", "fp32"),
        (set(), "arm64", "int8"),
        (set(), "x86_64", "fp32"),
    ],
)
def test_int8_only_where_products_of_bytes_are_exact(instructions: set[str], machine: str, precision: str) -> None:
    assert best_precision(frozenset(instructions), machine) == precision
