"""int8 and bf16 products of the kernel, block by block, against integers and float64."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_build import Build, aligned, empty, from_bf16, tiled_codes, to_bf16
from tmkd.bundle.kernel_weights import bf16_tiles, int8_tiles


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("inputs", [64, 320])
def test_an_int8_block_is_the_integer_product_of_each_byte(software: Build, inputs: int, size: int) -> None:
    rng = np.random.default_rng(inputs)
    largest = 256**size - 1
    codes = rng.integers(0, largest + 1, (16, inputs))
    weight = rng.integers(-128, 128, (32, inputs), dtype=np.int8)
    compensation = rng.integers(-(2**24), 2**24, 32, dtype=np.int32)
    codes[0], codes[1], weight[0], weight[1] = largest, 0, 127, -128  # the extremes
    sums = empty((size, 16, 32), np.int32)
    operands = (aligned(one) for one in (tiled_codes(codes, size), int8_tiles(weight), compensation))
    left, right, start = operands
    software("int8_block_avx512", size, left, right, start, inputs // 64, sums)
    np.testing.assert_array_equal(sums[0], (codes >> 8 * (size - 1)) @ weight.T.astype(np.int64) + compensation)
    if size == 2:
        np.testing.assert_array_equal(sums[1], (codes & 255) @ weight.T.astype(np.int64))


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16])
@pytest.mark.parametrize("inputs", [32, 160])
def test_a_bf16_tile_is_the_product_in_fp32(build: Build, rows: int, inputs: int) -> None:
    rng = np.random.default_rng(rows)
    left = to_bf16(rng.normal(size=(16, inputs)))
    left[rows:] = 0x7FC0  # NaN: rows beyond the last are read, and affect no other
    weight = rng.normal(size=(inputs, 16)).astype(np.float32)
    sums = empty((16, 16), np.float32)
    build("bf16_tile", build.level, aligned(left), rows, aligned(bf16_tiles(weight)), inputs // 32, sums)
    exact = from_bf16(left[:rows]) @ from_bf16(to_bf16(weight))
    np.testing.assert_allclose(sums[:rows], exact, atol=inputs * 1e-6)


def test_bf16_conversion_rounds_to_nearest_and_ties_to_even(build: Build) -> None:
    bits = np.array([0x3F800000, 0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0xBF818000, 0x7F7FFFFF, 0], np.uint32)
    numbers = np.concatenate([bits.view(np.float32), np.random.default_rng(1).normal(size=56).astype(np.float32)])
    out = empty((64,), np.uint16)
    build("convert_to_bf16", build.level, aligned(numbers), 64, out)
    assert out[:8].tolist() == [0x3F80, 0x3F80, 0x3F82, 0x3F80, 0x3F81, 0xBF82, 0x7F80, 0]
    np.testing.assert_array_equal(out, to_bf16(numbers))
