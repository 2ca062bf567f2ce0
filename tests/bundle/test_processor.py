"""Which graph a processor gets, from what it says of itself."""

from __future__ import annotations

import pytest

from tmkd.bundle.format import INT8_ENGINES, KERNEL_1, KERNEL_2
from tmkd.bundle.kernel_library import CPU_LEVELS
from tmkd.bundle.processor import FASTEST_FIRST, best_precision


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


def test_every_level_has_an_order_of_all_engines() -> None:
    assert set(FASTEST_FIRST) == {0, *CPU_LEVELS}
    assert all(sorted(order) == sorted(INT8_ENGINES) for order in FASTEST_FIRST.values())


def test_one_byte_comes_first_without_amx_and_two_with_it() -> None:
    assert [FASTEST_FIRST[level][0] for level in (1, 2)] == [KERNEL_1, KERNEL_2]
