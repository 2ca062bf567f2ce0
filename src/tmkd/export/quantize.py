"""int8 quantisation of weight matrices: round-to-nearest, or GPTQ on calibration inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from tmkd.bundle.graph import HADAMARD_SIZE, INT8_MAX, hadamard
from tmkd.network import Student
from tmkd.network.layer_inputs import layer_inputs

OUTLIERS = 4  # neurons of a feed-forward that stay fp32
DAMPING = 0.01  # of the mean diagonal, added to it: calibration pairs are few, and some inputs hardly vary

Moments = dict[str, npt.NDArray[np.float64]]
_Float = TypeVar("_Float", np.float32, np.float64)


class QuantisedWeight(NamedTuple):
    """An int8 weight matrix: codes int8 (rows, columns) and a scale per row, float32 (rows,).

    With `rotated` it multiplies inputs after a Hadamard rotation (`hadamard_rotate`).
    """

    codes: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    rotated: bool = False

    @property
    def matrix(self) -> npt.NDArray[np.float32]:
        """Dequantised matrix for inputs that are not rotated, float32 (rows, columns)."""
        dequantised = self.codes * self.scales[:, None]
        return hadamard_rotate(dequantised) if self.rotated else dequantised


def quantise_rows(matrix: npt.NDArray[np.float32], moments: npt.NDArray[np.float64] | None = None) -> QuantisedWeight:
    """Quantise a matrix (rows, columns) with a scale per row.

    Without `moments` each entry is rounded to the nearest code. With the second moments of its inputs, Σ x·xᵀ (columns,
    columns), the columns not yet rounded compensate a column's rounding error, the most active columns first, so that
    matrix · x changes least (GPTQ, arXiv 2210.17323).
    """
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-12).astype(np.float32) / INT8_MAX
    if moments is None:
        return QuantisedWeight(np.clip(np.round(matrix / scales[:, None]), -INT8_MAX, INT8_MAX).astype(np.int8), scales)
    order = np.argsort(-np.diag(moments), kind="stable")
    remaining = matrix[:, order].astype(np.float64) / scales[:, None]  # in units of a row's scale
    damped = moments[np.ix_(order, order)] + np.eye(len(order)) * (DAMPING * np.diag(moments).mean() + 1e-12)
    # Row i of the inverse's upper Cholesky factor distributes column i's error over the columns after it.
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    rounded = np.empty_like(remaining)
    for column in range(len(order)):
        rounded[:, column] = np.clip(np.round(remaining[:, column]), -INT8_MAX, INT8_MAX)
        error = (remaining[:, column] - rounded[:, column]) / factor[column, column]
        remaining[:, column + 1 :] -= np.outer(error, factor[column, column + 1 :])
    codes = np.empty(matrix.shape, dtype=np.int8)
    codes[:, order] = rounded.astype(np.int8)
    return QuantisedWeight(codes, scales)


def quantise_rotated(matrix: npt.NDArray[np.float32], moments: npt.NDArray[np.float64]) -> QuantisedWeight:
    """Quantise after a Hadamard rotation of the inputs (QuaRot, arXiv 2404.00456).

    The rotation spreads outlier channels, so one scale per token loses less. A matrix whose columns are no multiple of
    HADAMARD_SIZE is quantised without it.
    """
    if matrix.shape[1] % HADAMARD_SIZE:
        return quantise_rows(matrix, moments)
    rotated_moments = hadamard_rotate(hadamard_rotate(moments).T)
    return quantise_rows(hadamard_rotate(matrix), rotated_moments)._replace(rotated=True)


def hadamard_rotate(rows: npt.NDArray[_Float]) -> npt.NDArray[_Float]:
    """Rotate rows (rows, columns) by the Hadamard matrix, HADAMARD_SIZE neighbouring columns at a time.

    The matrix is symmetric and orthonormal: a second rotation undoes the first.
    """
    rotated: npt.NDArray[_Float] = rows.reshape(-1, HADAMARD_SIZE) @ hadamard().astype(rows.dtype)
    return rotated.reshape(rows.shape)


def outlier_neurons(down_weight: npt.NDArray[np.float32], moments: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Indices of the OUTLIERS neurons of a feed-forward that add most to one output channel, int64 (OUTLIERS,).

    A neuron's measure is its root mean square times its largest weight. In BERTs one or two neurons make the first
    token's largest channel; quantised, they would inflate the scales of their weight rows and of that token's inputs.
    down_weight (out, neurons); moments (neurons, neurons) of the neurons' outputs.
    """
    return np.argsort(-np.abs(down_weight).max(axis=0) * np.sqrt(np.diag(moments)), kind="stable")[:OUTLIERS]


def input_moments(student: Student, pairs: Sequence[tuple[str, str]]) -> Moments:
    """Second moments of the inputs of the encoder's linear layers, by layer name: Σ x·xᵀ, float64 (in, in).

    The sum is over the tokens of these (question, passage) pairs.
    """
    moments: Moments = {}

    def add(name: str, inputs: Tensor) -> None:
        moments[name] = moments.get(name, 0.0) + (inputs.T @ inputs).numpy()

    linear = {name: module for name, module in student.encoder.named_modules() if isinstance(module, nn.Linear)}
    with layer_inputs(linear, add):
        student.predict_proba(pairs)
    return moments
