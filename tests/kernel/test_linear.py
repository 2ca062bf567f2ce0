"""Linear layers of the kernel with each epilogue, against integers and float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from kernel_build import Build, QuantisedRows, aligned, empty, exact_gelu, from_bf16, tiled_codes, to_bf16
from tmkd.bundle.kernel_library import Bf16Linear, Int8Linear
from tmkd.bundle.kernel_weights import bf16_tiles, int8_tiles

STORE_BF16, ADD_TO_FP32, STORE_GELU_FP16 = range(3)
SHAPES = [(1, 64, 32), (16, 128, 64), (33, 64, 96), (128, 320, 32), (131, 192, 64)]  # rows, inputs, outputs
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
both_sizes = pytest.mark.parametrize("size", [1, 2], ids=["1 byte", "2 bytes"])


@dataclass
class Case:
    """An int8 layer on quantised rows, in the kernel's layout, and its exact outputs."""

    rows: int
    padded: int
    arrays: list[np.ndarray]
    inputs: QuantisedRows
    layer: Int8Linear
    exact: np.ndarray  # float64 (rows, outputs)

    def run(self, build: Build, level: int, operation: int, out: np.ndarray) -> np.ndarray:
        build("int8_linear", level, self.inputs, self.rows, self.layer, operation, out)
        return out[: self.rows]


def case_of(rows: int, inputs: int, outputs: int, size: int) -> Case:
    """A layer whose inputs are codes of `size` bytes."""
    rng = np.random.default_rng(rows + inputs)
    padded, unit = -(-rows // 16) * 16, 256 ** (size - 1)
    codes = rng.integers(0, 256 * unit, (rows, inputs))
    weight = rng.integers(-127, 128, (outputs, inputs), dtype=np.int8)
    row_scales = (rng.uniform(1e-5, 3e-5, padded) * 256 / unit).astype(np.float32)
    scales, bias = (rng.uniform(-1, 1, outputs).astype(np.float32) / 100 for _ in range(2))
    compensation = (-128 * weight.sum(axis=1, dtype=np.int64)).astype(np.int32)
    tiles = tiled_codes(codes, size)
    arrays = [aligned(one) for one in (tiles, row_scales, int8_tiles(weight), scales, bias, compensation)]
    address = [array.ctypes.data for array in arrays]
    product = (codes - 128 * unit) @ weight.T.astype(np.int64)
    exact = product * row_scales[:rows, None].astype(np.float64) * scales + bias
    layer = Int8Linear(*address[2:], inputs, outputs, size)
    return Case(rows, padded, arrays, QuantisedRows(*address[:2], size), layer, exact)


@both_sizes
@every_shape
def test_outputs_are_added_to_the_earlier_sums(build: Build, shape: tuple[int, int, int], size: int) -> None:
    case = case_of(*shape, size)
    before = np.random.default_rng(1).normal(size=(case.padded, shape[2])).astype(np.float32)
    sums = case.run(build, build.level, ADD_TO_FP32, aligned(before))
    np.testing.assert_allclose(sums, before[: case.rows] + case.exact, atol=2e-5)


@both_sizes
@every_shape
def test_outputs_are_stored_as_bf16(build: Build, shape: tuple[int, int, int], size: int) -> None:
    case = case_of(*shape, size)
    stored = from_bf16(case.run(build, build.level, STORE_BF16, empty((case.padded, shape[2]), np.uint16)))
    np.testing.assert_allclose(stored, case.exact, rtol=2**-8, atol=1e-5)


@both_sizes
@every_shape
def test_gelu_of_outputs_is_stored_as_fp16(build: Build, shape: tuple[int, int, int], size: int) -> None:
    case = case_of(*shape, size)
    stored = case.run(build, build.level, STORE_GELU_FP16, empty((case.padded, shape[2]), np.float16))
    np.testing.assert_allclose(stored.astype(np.float64), exact_gelu(case.exact), rtol=2**-10, atol=2e-4)


@both_sizes
@every_shape
def test_int8_layers_are_the_same_to_the_bit_at_both_levels(
    software: Build, shape: tuple[int, int, int], size: int
) -> None:
    case = case_of(*shape, size)
    two, one = (
        case.run(software, level, ADD_TO_FP32, aligned(np.zeros((case.padded, shape[2]), np.float32)))
        for level in (2, 1)
    )
    np.testing.assert_array_equal(two, one)


@pytest.mark.parametrize("shape", [(1, 64, 32), (15, 128, 64), (16, 64, 16), (37, 192, 48)], ids=str)
def test_bf16_layers_round_their_inputs_and_sum_in_fp32(build: Build, shape: tuple[int, int, int]) -> None:
    rows, inputs, outputs = shape
    rng = np.random.default_rng(rows)
    left, weight, bias = (
        rng.normal(size=size).astype(np.float32) for size in ((rows, inputs), (inputs, outputs), (outputs,))
    )
    arrays = [aligned(one) for one in (bf16_tiles(weight), bias)]
    layer = Bf16Linear(*(array.ctypes.data for array in arrays), inputs, outputs)
    halves, out = empty((-(-rows // 16) * 16, inputs), np.uint16), empty((rows, outputs), np.float32)
    build("bf16_linear", build.level, aligned(left), rows, layer, halves, out)
    exact = from_bf16(to_bf16(left)) @ from_bf16(to_bf16(weight)) + bias
    np.testing.assert_allclose(out, exact, atol=inputs * 1e-6)
