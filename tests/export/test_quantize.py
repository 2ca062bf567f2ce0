"""int8 quantisation of weights: round-to-nearest, GPTQ, the Hadamard rotation, outlier neurons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tiny_bundle import PAIRS
from tmkd.export.quantize import (
    QuantisedWeight,
    hadamard_rotate,
    input_moments,
    outlier_neurons,
    quantise_rotated,
    quantise_rows,
)
from tmkd.network import Student


def test_a_code_times_its_rows_scale_is_the_weight() -> None:
    quantised = QuantisedWeight(np.array([[1, -2], [3, 0]], dtype=np.int8), np.array([0.5, 2.0], dtype=np.float32))
    assert quantised.matrix.tolist() == [[0.5, -1.0], [6.0, 0.0]]


def test_a_rotation_mixes_sixteen_neighbours_and_is_its_own_inverse() -> None:
    one = np.zeros((1, 32), dtype=np.float32)
    one[0, 19] = 8
    mixed = hadamard_rotate(one)
    assert mixed[0, :16].tolist() == [0] * 16
    assert mixed[0, 16:].tolist() == [2, -2, -2, 2] * 4  # 3 is 0011: of it and a column, an odd number of shared bits
    np.testing.assert_array_equal(hadamard_rotate(mixed), one)


def test_rounding_to_nearest_loses_at_most_half_a_scale() -> None:
    matrix = np.array([[1.27, -0.4, 0.014], [0.0, 0.0, 0.0], [-12.7, 3.14, 0.05]], dtype=np.float32)
    codes, scales, _ = quantise_rows(matrix)
    assert codes[:2].tolist() == [[127, -40, 1], [0, 0, 0]]
    assert scales[0] == pytest.approx(0.01)
    assert (np.abs(codes * scales[:, None] - matrix) <= scales[:, None] / 2 + 1e-7).all()


def test_two_inputs_that_always_agree_share_a_rounding_error() -> None:
    # Alone, both columns are rounded 0.4 down; as x1 = x2, rounding one of them up loses 0.2 instead of 0.8.
    matrix = np.array([[127.0, 10.4, 10.4]], dtype=np.float32)
    moments = np.array([[0.01, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    assert quantise_rows(matrix)[0].tolist() == [[127, 10, 10]]
    codes = quantise_rows(matrix, moments).codes
    assert sorted(codes[0].tolist()) == [10, 11, 127]


def test_gptq_changes_products_less_than_rounding_to_nearest() -> None:
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 32)) + 0.1 * rng.normal(size=(500, 32))
    matrix = rng.normal(size=(16, 32)).astype(np.float32)

    def lost(moments: np.ndarray | None) -> float:
        quantised = quantise_rows(matrix, moments)
        return float(np.square(inputs @ (quantised.matrix - matrix).T).mean())

    assert lost(inputs.T @ inputs) < 0.5 * lost(None)


def test_outlier_neurons_have_large_outputs_and_large_weights() -> None:
    down_weight = np.ones((3, 9), dtype=np.float32)
    down_weight[1, 7], down_weight[2, 2], down_weight[0, 5] = -50, 9, 8
    outputs = np.full(9, 0.1)
    outputs[[7, 4, 5]] = 20, 3, 0.001
    found = outlier_neurons(down_weight, np.diag(outputs**2))
    assert found[:3].tolist() == [7, 4, 2]  # 1,000, then 3, then 0.9
    assert len(found) == 4
    assert 5 not in found


def test_rotated_weights_lose_less_to_one_large_column() -> None:
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(8, 32)).astype(np.float32)
    matrix[:, 5] = 40
    rotated = quantise_rotated(matrix, np.eye(32))
    assert rotated.rotated
    lost, before = (np.square(one.matrix - matrix).mean() for one in (rotated, quantise_rows(matrix, np.eye(32))))
    assert lost < 0.3 * before
    assert not quantise_rotated(matrix[:, :20], np.eye(20)).rotated  # no multiple of 16


def test_moments_are_those_of_every_linear_layers_inputs_and_leave_no_hook(made: tuple[Path, Path]) -> None:
    student = Student.from_pretrained(made[0])
    moments = input_moments(student, PAIRS[:4])
    assert moments["encoder.layer.0.output.dense"].shape == (32, 32)
    last = moments["encoder.layer.1.attention.self.query"]
    assert last.shape == (16, 16)
    # The last layer's query reads one token a pair, its key all of them.
    assert np.trace(last) < np.trace(moments["encoder.layer.1.attention.self.key"])
    before = {name: moment.copy() for name, moment in moments.items()}
    student.predict_proba(PAIRS)
    assert all(np.array_equal(moments[name], moment) for name, moment in before.items())
