"""GELU, 2^x and tanh of the kernel against float64."""

from __future__ import annotations

import numpy as np

from kernel_build import Build, empty, exact_gelu
from tmkd.bundle.graph import hadamard

GELU, POWER_OF_TWO, TANH, HADAMARD = range(4)


def computed(software: Build, function: int, x: np.ndarray) -> np.ndarray:
    out = empty(x.shape, np.float32)
    software("elementwise", function, x, x.size, out)
    return out.astype(np.float64)


def grid(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 16 * 2000, dtype=np.float32)


def test_gelu_is_within_its_error(software: Build) -> None:
    x = grid(-12, 12)
    assert np.abs(computed(software, GELU, x) - exact_gelu(x)).max() < 1.5e-4


def test_gelu_of_large_numbers_is_the_number_or_about_0(software: Build) -> None:
    x = np.array([1e4, -1e4, 3e38, -3e38] * 4, dtype=np.float32)
    np.testing.assert_allclose(computed(software, GELU, x), np.maximum(x, 0), atol=1.5e-4)


def test_gelu_of_nan_is_nan(software: Build) -> None:
    x = np.zeros(16, dtype=np.float32)
    x[5] = np.nan
    assert np.isnan(computed(software, GELU, x)).nonzero()[0].tolist() == [5]


def test_powers_of_two_are_within_their_relative_error(software: Build) -> None:
    x = grid(-126, 0)
    exact = 2.0 ** x.astype(np.float64)
    assert (np.abs(computed(software, POWER_OF_TWO, x) - exact) / exact).max() < 5e-6
    assert computed(software, POWER_OF_TWO, np.full(16, -1e30, dtype=np.float32)).max() == 0


def test_tanh_is_within_5e_6(software: Build) -> None:
    x = grid(-20, 20)
    assert np.abs(computed(software, TANH, x) - np.tanh(x.astype(np.float64))).max() < 5e-6
    assert computed(software, TANH, np.array([-100, 100] * 8, dtype=np.float32)).tolist() == [-1, 1] * 8


def test_hadamard_rotation_is_four_times_the_orthonormal_matrix(software: Build) -> None:
    x = np.random.default_rng(1).normal(size=(20, 16)).astype(np.float32)
    exact = 4 * x.astype(np.float64) @ hadamard()
    np.testing.assert_allclose(computed(software, HADAMARD, x), exact, atol=1e-5)
    one = np.eye(16, dtype=np.float32)
    np.testing.assert_array_equal(computed(software, HADAMARD, one), 4 * hadamard())
