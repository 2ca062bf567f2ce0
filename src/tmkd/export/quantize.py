"""Weights in whole steps: to the nearest one, or so that the errors of a row cancel on the inputs that really come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from tmkd.bundle.kernel_weights import TURNED, hadamard
from tmkd.network import Student
from tmkd.network.layer_inputs import layer_inputs

LEVELS = 127  # of a signed byte, on each side of 0
LOUD = 4  # neurons of a feed-forward that stay fp32
DAMPING = 0.01  # of the mean diagonal, added to it: pairs are few, and some inputs hardly vary

Moments = dict[str, npt.NDArray[np.float64]]


class Rounded(NamedTuple):
    """A matrix in bytes: whole steps, int8 (rows, columns), and the size of each row's step, float32 (rows,).

    If `turned`, it is meant for inputs that are turned as well before they become bytes (`turn`).
    """

    steps: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    turned: bool = False

    @property
    def matrix(self) -> npt.NDArray[np.float32]:
        """What it stands for, for the inputs as they are: float32 (rows, columns)."""
        whole = self.steps * self.scales[:, None]
        return turn(whole) if self.turned else whole


def quantise_rows(matrix: npt.NDArray[np.float32], moments: npt.NDArray[np.float64] | None = None) -> Rounded:
    """matrix (rows, columns) → the same in bytes, near it.

    With the `moments` of its inputs, Σ x·xᵀ (columns, columns), a column's rounding error is made good by the columns
    not rounded yet, the most active first, so that matrix · x changes least (GPTQ, arXiv 2210.17323).
    """
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-12).astype(np.float32) / LEVELS
    if moments is None:
        return Rounded(np.clip(np.round(matrix / scales[:, None]), -LEVELS, LEVELS).astype(np.int8), scales)
    order = np.argsort(-np.diag(moments), kind="stable")
    left = matrix[:, order].astype(np.float64) / scales[:, None]  # in steps
    damped = moments[np.ix_(order, order)] + np.eye(len(order)) * (DAMPING * np.diag(moments).mean() + 1e-12)
    # Row i of the inverse's upper factor says how column i's error is best spread over those after it.
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T
    steps = np.empty_like(left)
    for column in range(len(order)):
        steps[:, column] = np.clip(np.round(left[:, column]), -LEVELS, LEVELS)
        error = (left[:, column] - steps[:, column]) / spread[column, column]
        left[:, column + 1 :] -= np.outer(error, spread[column, column + 1 :])
    values = np.empty(matrix.shape, dtype=np.int8)
    values[:, order] = steps.astype(np.int8)
    return Rounded(values, scales)


def quantise_turned(matrix: npt.NDArray[np.float32], moments: npt.NDArray[np.float64]) -> Rounded:
    """As `quantise_rows`, turned: no input is then much louder than others, and a token's share a scale with less loss.

    Where the columns are no multiple of TURNED, they stay as they are.
    """
    if matrix.shape[1] % TURNED:
        return quantise_rows(matrix, moments)
    return quantise_rows(turn(matrix), turn(turn(moments).T))._replace(turned=True)


def turn(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """rows (rows, columns), each TURNED neighbours of a row mixed by `hadamard`; turned twice they are as before."""
    mixed: npt.NDArray[Any] = rows.reshape(-1, TURNED) @ hadamard().astype(rows.dtype)
    return mixed.reshape(rows.shape)


def loud_neurons(onward: npt.NDArray[np.float32], moments: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The few neurons of a feed-forward whose output and weights onward are far larger than all others', (LOUD,).

    BERTs have one or two that make the first token's largest channel. In bytes they would leave the others few steps:
    both of a weight's row and of a token's inputs. onward (out, neurons); moments of the neurons' outputs.
    """
    return np.argsort(-np.abs(onward).max(axis=0) * np.sqrt(np.diag(moments)), kind="stable")[:LOUD]


def input_moments(student: Student, pairs: Sequence[tuple[str, str]]) -> Moments:
    """Σ x·xᵀ over the tokens of these pairs, float64 (in, in), of the inputs of each linear layer of the encoder."""
    moments: Moments = {}

    def add(name: str, inputs: Tensor) -> None:
        moments[name] = moments.get(name, 0.0) + (inputs.T @ inputs).numpy()

    linear = {name: module for name, module in student.encoder.named_modules() if isinstance(module, nn.Linear)}
    with layer_inputs(linear, add):
        student.predict_proba(pairs)
    return moments
