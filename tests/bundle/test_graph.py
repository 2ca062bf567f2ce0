"""Constants of a graph: their exact kinds and shapes, finite; the Hadamard matrix."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.bundle.graph import HADAMARD_SIZE, Graph, hadamard

ONES = np.ones((2, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (np.ones((3, 2), dtype=np.float32), r"is float32 \(3, 2\), not float32 \(2, 3\)"),
        (np.ones((2, 3), dtype=np.int32), r"is int32 \(2, 3\), not float32"),
        (ONES * np.array([1, np.nan, 1], dtype=np.float32), "is not finite"),
        (ONES * np.array([1, 1, -np.inf], dtype=np.float32), "is not finite"),
    ],
)
def test_a_constant_of_another_kind_or_shape_or_not_finite_is_refused(value: np.ndarray, fault: str) -> None:
    with pytest.raises(ValueError, match=f"constant weight {fault}"):
        Graph({"weight": value}).named("weight", np.float32, 2, 3)
    with pytest.raises(ValueError, match="constant other is missing"):
        Graph({"weight": value}).named("other", np.float32, 2, 3)


def test_a_constant_without_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="constant weight is empty"):
        Graph({"weight": ONES[:0]}).named("weight", np.float32, 0, 3)


def test_the_hadamard_matrix_is_symmetric_and_orthonormal() -> None:
    matrix = hadamard()
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(matrix @ matrix, np.eye(HADAMARD_SIZE))
    assert set(np.abs(matrix).ravel().tolist()) == {0.25}
