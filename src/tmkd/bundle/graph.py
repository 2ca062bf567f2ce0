"""Nodes of a student's graph over named constants, written in one way: for the export, and to check a file against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Constants = dict[str, np.ndarray]
Attribute = int | float | str | tuple[int, ...]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # int64 (pairs, longest)
FLOAT, INT32, INT64, BOOL = 1, 6, 7, 9  # data types of onnx.proto
INT8_MAX = 127  # codes are −127 to 127
SIGNED_ZERO = 128  # zero point of uint8 activations of both signs
GELU_ZERO = 16  # zero point of uint8 outputs of Gelu, which hardly go below 0
GELU_MIN = -0.17  # lower bound of Gelu's outputs
HADAMARD_SIZE = 16  # neighbouring channels of a hidden state that are rotated together before quantisation
EMBEDDING_GROUP = 64  # neighbouring numbers of a word embedding that share a scale


class Node(NamedTuple):
    """An operator with one output; tensors are known by name."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Attribute]


class Graph:
    """A graph under construction: `nodes` in order over `constants`. The network's own are given, named.

    A layer is int8 where its constant `layer`.codes is given. Inputs of int8 layers are quantised dynamically with a
    scale per token. A pair's first token has activations many times as large as other tokens', so a shared scale would
    leave those few codes. A pair's score is therefore independent of its batch, and activations need no calibration.
    Raises: ValueError for a constant of another kind or shape than the network has, or with a number that is not
    finite.
    """

    def __init__(self, constants: Mapping[str, np.ndarray]) -> None:
        self.constants: Constants = dict(constants)
        self.nodes: list[Node] = []
        self.used: dict[str, None] = {}  # names of constants, in the order of their use
        self._quantised: dict[tuple[str, bool], tuple[str, str]] = {}

    def constant(self, value: npt.ArrayLike) -> str:
        """Add a small constant of the graph's own, such as an axis; returns its name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value, order="C")
        self.used[name] = None
        return name

    def named(self, name: str, kind: type[np.generic], *shape: int) -> str:
        """Check a constant of the network; returns its name."""
        array = self.constants.get(name)
        if array is None:
            raise ValueError(f"constant {name} is missing")
        if name not in self.used:
            if array.dtype != kind or array.shape != shape:
                raise ValueError(f"constant {name} is {array.dtype} {array.shape}, not {kind.__name__} {shape}")
            if not array.size:
                raise ValueError(f"constant {name} is empty")
            # Smallest and largest are NaN where any number is, and need no memory as large as the array.
            if kind is np.float32 and not np.isfinite([array.min(), array.max()]).all():
                raise ValueError(f"constant {name} is not finite")
            self.used[name] = None
        return name

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Shape of a constant of the network that has so many axes."""
        array = self.constants.get(name)
        if array is None or array.ndim != axes:
            raise ValueError(f"constant {name} is missing or has not {axes} axes")
        return array.shape

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Attribute) -> str:
        """Add an operator; returns the name of its output."""
        output = name or f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(Node(operator, inputs, output, attributes))
        return output

    def linear(self, inputs: str, name: str, size: tuple[int, int], rotated: bool = False, gelu: bool = False) -> str:
        """Linear layer of `size` (in, out): inputs (…, in) → (…, out).

        Its constants are `name`.weight float32 (in, out), or `name`.codes int8 (in, out) and `name`.scales float32
        (out,), and `name`.bias float32 (out,) where there is one. With `rotated`, inputs of an int8 layer are
        rotated by the constant "hadamard"; with `gelu`, they are outputs of Gelu.
        """
        if f"{name}.codes" in self.constants:
            zeros = self.constant(np.zeros(size[1], dtype=np.int8))
            codes = self.named(f"{name}.codes", np.int8, *size)
            scales = self.named(f"{name}.scales", np.float32, size[1])
            weight = self.node("DequantizeLinear", codes, scales, zeros, axis=1)
            input_codes, input_scale = self._quantise(inputs, rotated and "hadamard" in self.constants, gelu)
            product = self.node("Mul", self.node("MatMul", input_codes, weight), input_scale)
        else:
            product = self.node("MatMul", inputs, self.named(f"{name}.weight", np.float32, *size))
        if f"{name}.bias" not in self.constants:
            return product
        return self.node("Add", product, self.named(f"{name}.bias", np.float32, size[1]))

    def embedding(self, ids: str, name: str) -> tuple[str, int]:
        """Look up rows of a table by ids; returns their name and width.

        The table is `name`.weight float32 (words, width), or `name`.codes int8 (words, width) and `name`.scales float32
        (words, groups, 1), where each EMBEDDING_GROUP numbers share a scale.
        """
        if f"{name}.codes" not in self.constants:
            words, width = self.shape(f"{name}.weight", 2)
            return self.node("Gather", self.named(f"{name}.weight", np.float32, words, width), ids), width
        words, width = self.shape(f"{name}.codes", 2)
        group = width if width % EMBEDDING_GROUP else EMBEDDING_GROUP
        codes = self.named(f"{name}.codes", np.int8, words, width)
        scales = self.named(f"{name}.scales", np.float32, words, width // max(group, 1), 1)
        rows = self.node("Cast", self.node("Gather", codes, ids), to=FLOAT)
        groups = self._reshape(rows, (0, 0, -1, group))
        return self._reshape(self.node("Mul", groups, self.node("Gather", scales, ids)), (0, 0, width)), width

    def _reshape(self, inputs: str, shape: Sequence[int]) -> str:
        return self.node("Reshape", inputs, self.constant(np.array(shape, dtype=np.int64)))

    def _quantise(self, inputs: str, rotated: bool, gelu: bool) -> tuple[str, str]:
        """Quantise inputs, after a Hadamard rotation if `rotated`: their uint8 codes less the zero point, and scales.

        The codes come as float32 whole numbers in the inputs' shape, the scales per token, (…, 1).
        """
        key = inputs, rotated
        if key not in self._quantised:
            if rotated:
                matrix = self.named("hadamard", np.float32, HADAMARD_SIZE, HADAMARD_SIZE)
                if not np.array_equal(self.constants[matrix], hadamard()):
                    raise ValueError("constant hadamard is not the Hadamard matrix")
                products = self.node("MatMul", self._reshape(inputs, (0, -1, HADAMARD_SIZE)), matrix)
                inputs = self.node("Reshape", products, self.node("Shape", inputs))
            last = self.constant(np.array([-1], dtype=np.int64))
            largest = self.node("ReduceMax", inputs, last, keepdims=1)
            if gelu:
                zero_point, codes = GELU_ZERO, 255 - GELU_ZERO
                floor = self.constant(np.float32(-GELU_MIN / GELU_ZERO * codes))  # GELU_MIN then has code 0
            else:
                zero_point, codes, floor = SIGNED_ZERO, INT8_MAX, self.constant(np.float32(1e-6))
                largest = self.node("Max", largest, self.node("Neg", self.node("ReduceMin", inputs, last, keepdims=1)))
            largest = self.node("Max", largest, floor)
            scale = self.node("Mul", largest, self.constant(np.float32(1 / codes)))
            scaled = self.node("Mul", inputs, self.node("Reciprocal", scale))
            one, zero = self.constant(np.float32(1)), self.constant(np.uint8(zero_point))
            rounded = self.node("DequantizeLinear", self.node("QuantizeLinear", scaled, one, zero), one, zero)
            self._quantised[key] = rounded, scale
        return self._quantised[key]


def hadamard() -> np.ndarray:
    """Orthonormal Hadamard matrix, float32 (HADAMARD_SIZE, HADAMARD_SIZE).

    Hidden states are rotated by it before quantisation, so an outlier channel is spread over its neighbours (QuaRot,
    arXiv 2404.00456).
    """
    signs = reduce(lambda one, two: np.kron(one, two), [np.array([[1, 1], [1, -1]])] * 4)
    return (signs / HADAMARD_SIZE**0.5).astype(np.float32)
