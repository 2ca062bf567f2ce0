"""An ONNX graph written node by node: constants, operators, and products of matrices in fp32 or int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from tmkd.bundle.kernel_weights import TURNED, hadamard
from tmkd.export.quantize import LEVELS, Rounded, quantise_rows

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # int64 (pairs, longest)
OPSET = 20  # the first with Gelu
IR_VERSION = 10
ZERO = 128  # where an unsigned byte has its 0 for numbers of both signs
SHARED = 64  # numbers of a word's vector that have one scale
LOW = 16  # and for the outputs of Gelu, which hardly go below 0
GELU_LEAST = 0.17  # no output of Gelu is less than −0.17


class Graph:
    """A graph under construction; tensors are known by name. In `int8` the vectors of words are bytes.

    A token's inputs have a scale of their own, found while the graph runs: the first token of a pair has numbers many
    times as large as others have, and a scale shared with it would leave these few levels. So an int8 score knows
    nothing of batch-mates, and no calibration is needed.
    """

    def __init__(self, int8: bool) -> None:
        self.int8 = int8
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._bytes: dict[tuple[str, bool], tuple[str, str]] = {}

    def constant(self, value: Any, name: str = "") -> str:
        """A tensor that never changes; one with a name, by which `tmkd.bundle.kernel` finds it, is written once."""
        name = name or f"c{len(self._constants)}"
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """One operator with one output, whose name is returned."""
        output = name or f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def linear(
        self,
        inputs: str,
        weight: np.ndarray,
        bias: np.ndarray | None,
        name: str,
        rounded: Rounded | None = None,
        after_gelu: bool = False,
    ) -> str:
        """inputs · weightᵀ + bias: inputs (…, in), weight (out, in), bias (out,) float32 → (…, out).

        With `rounded`, the weight in bytes, the inputs become bytes too; `after_gelu` says that none of them is below
        −GELU_LEAST. Constants are called `name`.steps and .scales or .weight (in, out), and .bias.
        """
        if rounded is not None:
            zeros = self.constant(np.zeros(len(rounded.scales), dtype=np.int8))
            constants = self.constant(rounded.steps.T, f"{name}.steps"), self.constant(rounded.scales, f"{name}.scales")
            whole = self.node("DequantizeLinear", *constants, zeros, axis=1)
            steps, scale = self._in_bytes(inputs, rounded.turned, after_gelu)
            product = self.node("Mul", self.node("MatMul", steps, whole), scale)
        else:
            product = self.node("MatMul", inputs, self.constant(weight.T.astype(np.float32), f"{name}.weight"))
        if bias is None:
            return product
        return self.node("Add", product, self.constant(bias.astype(np.float32), f"{name}.bias"))

    def embedding(self, table: np.ndarray, ids: str, name: str) -> str:
        """Rows of a table (words, width) float32 by ids; in int8 SHARED numbers of a row are bytes and a scale."""
        if not self.int8:
            return self.node("Gather", self.constant(table.astype(np.float32), f"{name}.weight"), ids)
        words, width = table.shape
        shared = width if width % SHARED else SHARED
        rounded = quantise_rows(table.reshape(-1, shared))
        steps = self.constant(rounded.steps.reshape(words, width), f"{name}.steps")
        scales = self.constant(rounded.scales.reshape(words, -1, 1), f"{name}.scales")
        rows = self.node("Cast", self.node("Gather", steps, ids), to=TensorProto.FLOAT)
        apart = self._reshaped(rows, (0, 0, -1, shared))
        return self._reshaped(self.node("Mul", apart, self.node("Gather", scales, ids)), (0, 0, width))

    def _reshaped(self, inputs: str, shape: Sequence[int]) -> str:
        return self.node("Reshape", inputs, self.constant(np.array(shape, dtype=np.int64)))

    def _in_bytes(self, inputs: str, turned: bool, after_gelu: bool) -> tuple[str, str]:
        """The inputs, turned or not, in whole steps that fit a byte, and the size of a step per token, (…, 1)."""
        key = inputs, turned
        if key not in self._bytes:
            if turned:
                apart = self._reshaped(inputs, (0, -1, TURNED))
                mixed = self.node("MatMul", apart, self.constant(hadamard(), "turn"))
                inputs = self.node("Reshape", mixed, self.node("Shape", inputs))
            last = self.constant(np.array([-1], dtype=np.int64))
            largest = self.node("ReduceMax", inputs, last, keepdims=1)
            if after_gelu:
                zero, steps, floor = LOW, 255 - LOW, self.constant(np.float32(GELU_LEAST / LOW * (255 - LOW)))
            else:
                zero, steps, floor = ZERO, LEVELS, self.constant(np.float32(1e-6))
                largest = self.node("Max", largest, self.node("Neg", self.node("ReduceMin", inputs, last, keepdims=1)))
            largest = self.node("Max", largest, floor)
            scale = self.node("Mul", largest, self.constant(np.float32(1 / steps)))
            scaled = self.node("Mul", inputs, self.node("Reciprocal", scale))
            step, place = self.constant(np.float32(1)), self.constant(np.uint8(zero))
            whole = self.node("DequantizeLinear", self.node("QuantizeLinear", scaled, step, place), step, place)
            self._bytes[key] = whole, scale
        return self._bytes[key]

    def model(
        self, inputs: Sequence[str], output: str, classes: int, settings: Mapping[str, str] | None = None
    ) -> onnx.ModelProto:
        """The finished model: int64 inputs (pairs, longest), float32 output (pairs, classes); `settings` go with it."""
        told = [helper.make_tensor_value_info(name, TensorProto.INT64, ["pairs", "longest"]) for name in inputs]
        given = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["pairs", classes])]
        graph = helper.make_graph(self._nodes, "student", told, given, list(self._constants.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="tmkd"
        )
        helper.set_model_props(model, dict(settings or {}))
        return model


def array(tensor: torch.Tensor) -> np.ndarray:
    """A weight's numbers, float32."""
    numbers: np.ndarray = tensor.detach().float().numpy()
    return numbers
