"""Builder of ONNX graphs, node by node: constants, operators, linear layers in fp32 or dynamic int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from tmkd.bundle.kernel_weights import HADAMARD_SIZE, hadamard
from tmkd.export.quantize import INT8_MAX, QuantisedWeight, quantise_rows

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # int64 (pairs, longest)
OPSET = 20  # the first with Gelu
IR_VERSION = 10
SIGNED_ZERO = 128  # zero point of uint8 activations of both signs
GELU_ZERO = 16  # zero point of uint8 outputs of Gelu, which hardly go below 0
GELU_MIN = -0.17  # lower bound of Gelu's outputs
EMBEDDING_GROUP = 64  # neighbouring numbers of a word embedding that share a scale


class Graph:
    """A graph under construction, its tensors known by name. With `int8` the word embeddings are int8.

    Inputs of int8 layers are quantised dynamically with a scale per token. A pair's first token has activations many
    times as large as other tokens', so a shared scale would leave those few codes. A pair's score is therefore
    independent of its batch, and activations need no calibration.
    """

    def __init__(self, int8: bool) -> None:
        self.int8 = int8
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._quantised: dict[tuple[str, bool], tuple[str, str]] = {}

    def constant(self, value: npt.ArrayLike, name: str = "") -> str:
        """Add a constant tensor; returns its name. A given name is written once: `tmkd.bundle.kernel` looks it up."""
        name = name or f"c{len(self._constants)}"
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add an operator with one output; returns the output's name."""
        output = name or f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def linear(
        self,
        inputs: str,
        weight: np.ndarray,
        bias: np.ndarray | None,
        name: str,
        quantised: QuantisedWeight | None = None,
        after_gelu: bool = False,
    ) -> str:
        """Linear layer inputs · weightᵀ + bias: inputs (…, in), weight (out, in), bias (out,) float32 → (…, out).

        With `quantised` (the int8 weight) the inputs are quantised too; `after_gelu` says that they are outputs of
        Gelu. The constants are named `name`.steps (the codes) and `name`.scales, or `name`.weight (in, out), and
        `name`.bias.
        """
        if quantised is not None:
            zeros = self.constant(np.zeros(len(quantised.scales), dtype=np.int8))
            codes = self.constant(quantised.codes.T, f"{name}.steps")
            scales = self.constant(quantised.scales, f"{name}.scales")
            dequantised = self.node("DequantizeLinear", codes, scales, zeros, axis=1)
            input_codes, input_scale = self._quantise(inputs, quantised.rotated, after_gelu)
            product = self.node("Mul", self.node("MatMul", input_codes, dequantised), input_scale)
        else:
            product = self.node("MatMul", inputs, self.constant(weight.T.astype(np.float32), f"{name}.weight"))
        if bias is None:
            return product
        return self.node("Add", product, self.constant(bias.astype(np.float32), f"{name}.bias"))

    def embedding(self, table: np.ndarray, ids: str, name: str) -> str:
        """Look up rows of a table (words, width) float32 by ids; in int8, EMBEDDING_GROUP numbers share a scale."""
        if not self.int8:
            return self.node("Gather", self.constant(table.astype(np.float32), f"{name}.weight"), ids)
        words, width = table.shape
        group = width if width % EMBEDDING_GROUP else EMBEDDING_GROUP
        quantised = quantise_rows(table.reshape(-1, group))
        codes = self.constant(quantised.codes.reshape(words, width), f"{name}.steps")
        scales = self.constant(quantised.scales.reshape(words, -1, 1), f"{name}.scales")
        rows = self.node("Cast", self.node("Gather", codes, ids), to=TensorProto.FLOAT)
        groups = self._reshape(rows, (0, 0, -1, group))
        return self._reshape(self.node("Mul", groups, self.node("Gather", scales, ids)), (0, 0, width))

    def _reshape(self, inputs: str, shape: Sequence[int]) -> str:
        return self.node("Reshape", inputs, self.constant(np.array(shape, dtype=np.int64)))

    def _quantise(self, inputs: str, rotated: bool, after_gelu: bool) -> tuple[str, str]:
        """Quantise inputs, after a Hadamard rotation if `rotated`: their uint8 codes less the zero point, and scales.

        The codes come as float32 whole numbers in the inputs' shape, the scales per token, (…, 1).
        """
        key = inputs, rotated
        if key not in self._quantised:
            if rotated:
                groups = self._reshape(inputs, (0, -1, HADAMARD_SIZE))
                products = self.node("MatMul", groups, self.constant(hadamard(), "turn"))
                inputs = self.node("Reshape", products, self.node("Shape", inputs))
            last = self.constant(np.array([-1], dtype=np.int64))
            largest = self.node("ReduceMax", inputs, last, keepdims=1)
            if after_gelu:
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

    def model(
        self, inputs: Sequence[str], output: str, classes: int, settings: Mapping[str, str] | None = None
    ) -> onnx.ModelProto:
        """Finish the model: int64 inputs (pairs, longest), float32 output (pairs, classes), `settings` as metadata."""
        input_types = [helper.make_tensor_value_info(name, TensorProto.INT64, ["pairs", "longest"]) for name in inputs]
        output_types = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["pairs", classes])]
        graph = helper.make_graph(self._nodes, "student", input_types, output_types, list(self._constants.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="tmkd"
        )
        helper.set_model_props(model, dict(settings or {}))
        return model


def array(tensor: torch.Tensor) -> np.ndarray:
    """Array of a weight, float32."""
    weight: np.ndarray = tensor.detach().float().numpy()
    return weight
