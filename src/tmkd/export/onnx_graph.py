"""ONNX file of a graph; constants of linear layers and embeddings in fp32 or int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from tmkd.bundle.graph import EMBEDDING_GROUP, Constants, Graph, Node
from tmkd.export.quantize import QuantisedWeight, quantise_rows

OPSET = 20  # the first with Gelu
IR_VERSION = 10


def linear_constants(
    name: str, weight: np.ndarray, bias: np.ndarray | None, quantised: QuantisedWeight | None = None
) -> Constants:
    """Constants of a linear layer: weight (out, in), or its int8 weight, and bias (out,)."""
    constants = {} if bias is None else {f"{name}.bias": bias.astype(np.float32)}
    if quantised is None:
        return {f"{name}.weight": weight.T.astype(np.float32), **constants}
    return {f"{name}.codes": quantised.codes.T, f"{name}.scales": quantised.scales, **constants}


def embedding_constants(name: str, table: np.ndarray, int8: bool) -> Constants:
    """Constants of a table (words, width); in int8, EMBEDDING_GROUP numbers share a scale."""
    if not int8:
        return {f"{name}.weight": table.astype(np.float32)}
    words, width = table.shape
    quantised = quantise_rows(table.reshape(-1, width if width % EMBEDDING_GROUP else EMBEDDING_GROUP))
    return {
        f"{name}.codes": quantised.codes.reshape(words, width),
        f"{name}.scales": quantised.scales.reshape(words, -1, 1),
    }


def onnx_model(
    graph: Graph, inputs: Sequence[str], output: str, classes: int, settings: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """ONNX model of a graph: int64 inputs (pairs, longest), float32 output (pairs, classes), `settings` as metadata."""
    input_types = [helper.make_tensor_value_info(name, TensorProto.INT64, ["pairs", "longest"]) for name in inputs]
    output_types = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["pairs", classes])]
    nodes = [_node(node) for node in graph.nodes]
    constants = [numpy_helper.from_array(np.asarray(graph.constants[name], order="C"), name) for name in graph.used]
    model = helper.make_model(
        helper.make_graph(nodes, "student", input_types, output_types, constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tmkd",
    )
    helper.set_model_props(model, dict(settings or {}))
    return model


def _node(node: Node) -> onnx.NodeProto:
    attributes: dict[str, Any] = dict(node.attributes)
    return helper.make_node(node.operator, node.inputs, [node.output], **attributes)


def array(tensor: torch.Tensor) -> np.ndarray:
    """Array of a weight, float32."""
    weight: np.ndarray = tensor.detach().float().numpy()
    return weight
