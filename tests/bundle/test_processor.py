"""Which graph a processor gets, from what it says of itself."""

from __future__ import annotations

import pytest

from tmkd.bundle.processor import best_precision


@pytest.mark.parametrize(
    ("instructions", "machine", "precision"),
    [
        ({"fpu", "avx2", "avx512_vnni"}, "x86_64", "int8"),
        ({"avx2", "avx_vnni"}, "x86_64", "int8"),
        ({"avx2", "avx512f", "avx512bw"}, "x86_64", "fp32"),
        ({"avx2"}, "x86_64", "fp32"),
        ({"asimd", "asimddp"}, "aarch64", "int8"),
        ({"asimd"}, "aarch64", "fp32"),
        (set(), "arm64", "int8"),
        (set(), "x86_64", "fp32"),
    ],
)
def test_int8_only_where_products_of_bytes_are_exact(instructions: set[str], machine: str, precision: str) -> None:
    assert best_precision(frozenset(instructions), machine) == precision
