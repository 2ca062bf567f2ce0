"""Quantisation, LayerNorm and outlier neurons of the kernel, row by row, against float64."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_build import Build, QuantisedRows, aligned, codes_of, empty, exact_gelu
from tmkd.bundle.graph import hadamard
from tmkd.bundle.kernel_library import OUTLIERS, LayerNorm, Outliers

EPSILON = 1e-12
LARGEST = {1: 255, 2: 65535}  # code of each number of bytes
both_sizes = pytest.mark.parametrize("size", LARGEST)


def quantised(software: Build, rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of `size` bytes and scales."""
    count, width = rows.shape
    codes, scales = empty((-(-count // 16), size, width // 64, 16, 64), np.uint8), empty((count,), np.float32)
    out = QuantisedRows(codes.ctypes.data, scales.ctypes.data, size)
    software("quantise", int(rows.dtype == np.float16), aligned(rows), count, width, out)
    return codes_of(codes, count), scales.astype(np.float64)[:, None]


def spread(rng: np.random.Generator, rows: int, width: int) -> np.ndarray:
    """Rows of very different magnitudes."""
    numbers: np.ndarray = rng.normal(size=(rows, width)) * 10.0 ** rng.integers(-4, 4, (rows, 1))
    return numbers.astype(np.float32)


@both_sizes
@pytest.mark.parametrize("shape", [(1, 64), (20, 64), (17, 384)])
def test_codes_are_the_nearest_to_the_numbers(software: Build, shape: tuple[int, int], size: int) -> None:
    rows, middle = spread(np.random.default_rng(2), *shape), (LARGEST[size] + 1) // 2
    codes, scales = quantised(software, rows, size)
    np.testing.assert_allclose(scales, np.abs(rows).max(axis=1, keepdims=True) / (middle - 1), rtol=1e-6)
    # Half a code, and the rounding of fp32 near the largest code.
    assert (np.abs((codes - middle) - rows / scales) < 0.51).all()
    assert (np.abs(codes - middle).max(axis=1) == middle - 1).all()


@both_sizes
def test_rows_of_zeros_are_zero_points(software: Build, size: int) -> None:
    codes, scales = quantised(software, np.zeros((3, 64), dtype=np.float32), size)
    middle = (LARGEST[size] + 1) // 2
    assert (codes == middle).all()
    np.testing.assert_allclose(scales, 1e-6 / (middle - 1), rtol=1e-6)


@both_sizes
@pytest.mark.parametrize("shape", [(1, 64), (33, 192)])
def test_codes_of_gelu_outputs_are_the_nearest(software: Build, shape: tuple[int, int], size: int) -> None:
    rows = exact_gelu(np.random.default_rng(3).normal(size=shape) * 5).astype(np.float16)
    rows[0, :2] = -0.17, 60_000
    codes, scales = quantised(software, rows, size)
    largest, zero_point = LARGEST[size], (LARGEST[size] + 1) // 16
    exact = rows.astype(np.float64).max(axis=1, keepdims=True) / (largest - zero_point)
    np.testing.assert_allclose(scales, exact, rtol=1e-6)
    assert (np.abs((codes - zero_point) - rows / scales) < 0.51).all()
    assert (codes.max(axis=1) == largest).all()


@both_sizes
def test_small_gelu_outputs_leave_room_for_the_lowest(software: Build, size: int) -> None:
    rows = np.zeros((2, 64), dtype=np.float16)
    rows[0, 7], rows[1] = -0.1699, -0.03  # GELU's least is −0.16997
    codes, scales = quantised(software, rows, size)
    zero_point = (LARGEST[size] + 1) // 16
    np.testing.assert_allclose(scales, 0.17 / zero_point, rtol=1e-6)
    assert 0 <= codes[0, 7] <= 3
    assert (np.abs((codes - zero_point) - rows / scales) < 0.51).all()


def norm_of(rng: np.random.Generator, width: int) -> tuple[LayerNorm, np.ndarray, np.ndarray]:
    weight, bias = (aligned(rng.normal(size=width).astype(np.float32)) for _ in range(2))
    return LayerNorm(weight.ctypes.data, bias.ctypes.data), weight, bias


def layer_norm(rows: np.ndarray, weight: np.ndarray, bias: np.ndarray, epsilon: float = EPSILON) -> np.ndarray:
    away = rows.astype(np.float64) - rows.astype(np.float64).mean(axis=1, keepdims=True)
    return np.asarray(away / np.sqrt((away**2).mean(axis=1, keepdims=True) + epsilon) * weight + bias)


@pytest.mark.parametrize("width", [64, 384])
@pytest.mark.parametrize("epsilon", [EPSILON, 0.5])
def test_layer_norm_is_that_of_float64(software: Build, width: int, epsilon: float) -> None:
    rng = np.random.default_rng(width)
    rows = (rng.normal(size=(9, width)) * 3 + 0.5).astype(np.float32)
    norm, weight, bias = norm_of(rng, width)
    hidden = aligned(rows)
    software("normalise", hidden, 9, width, norm, epsilon)
    np.testing.assert_allclose(hidden, layer_norm(rows, weight, bias, epsilon), atol=1e-5)


@both_sizes
@pytest.mark.parametrize("rows", [1, 3, 4, 5, 18])
def test_rows_are_normalised_then_rotated_and_quantised(software: Build, rows: int, size: int) -> None:
    rng, width, middle = np.random.default_rng(rows), 192, (LARGEST[size] + 1) // 2
    given = rng.normal(size=(rows, width)).astype(np.float32)
    norm, weight, bias = norm_of(rng, width)
    up = rng.normal(size=(OUTLIERS, width)).astype(np.float32)
    hidden, product = aligned(given), empty((rows, OUTLIERS), np.float32)
    codes, scales = empty((-(-rows // 16), size, width // 64, 16, 64), np.uint8), empty((rows,), np.float32)
    out = QuantisedRows(codes.ctypes.data, scales.ctypes.data, size)
    software("normalise_and_quantise", hidden, rows, width, norm, EPSILON, out, aligned(up), product)
    exact = layer_norm(given, weight, bias)
    np.testing.assert_allclose(hidden, exact, atol=1e-5)
    np.testing.assert_allclose(product, exact @ up.T, atol=1e-3)
    rotated = (exact.reshape(rows, -1, 16) @ hadamard()).reshape(rows, width)
    np.testing.assert_allclose(scales, np.abs(rotated).max(axis=1) / (middle - 1), rtol=1e-5)
    assert (np.abs((codes_of(codes, rows) - middle) - rotated / scales[:, None]) < 1).all()
    again, untouched = aligned(given), empty((rows, OUTLIERS), np.float32)
    first = codes.copy()
    software("normalise_and_quantise", again, rows, width, norm, EPSILON, out, None, untouched)
    np.testing.assert_array_equal(again, hidden)
    np.testing.assert_array_equal(codes, first)
    assert np.isnan(untouched).all()


def test_outlier_neurons_are_added_in_fp32(software: Build) -> None:
    rng, rows, width = np.random.default_rng(5), 3, 128
    hidden, product, down, bias = (
        aligned(rng.normal(size=shape).astype(np.float32) * 3)
        for shape in ((rows, width), (rows, OUTLIERS), (OUTLIERS, width), (OUTLIERS,))
    )
    exact = hidden + exact_gelu(product + bias) @ down
    outliers = Outliers(up_bias=bias.ctypes.data, down_weight=down.ctypes.data)
    software("add_outliers", outliers, product, hidden, rows, width)
    np.testing.assert_allclose(hidden, exact, atol=1e-2)
