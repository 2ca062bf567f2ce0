"""A student as an ONNX graph: its body, all headers in one product, and Eq. 6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from tmkd.errors import TmkdError
from tmkd.export.bert import bert_vector, layers_in_bytes
from tmkd.export.lstm import lstm_vector
from tmkd.export.onnx_graph import INPUTS, Graph, array
from tmkd.export.quantize import Moments, Rounded, loud_neurons, quantise_rows, quantise_turned
from tmkd.network import Student
from tmkd.network.bilstm import BiLSTM

OUTPUT = "logits"


def round_layers(student: Student, moments: Moments) -> dict[str, Rounded]:
    """The student's layers in bytes, by their names in its body, rounded by the `moments` of their inputs.

    Of each feed-forward the loud neurons have none: their steps are all 0. Hidden states are turned before they become
    bytes; attention's and the feed-forward's own outputs are not. Of a Bi-LSTM no layer is there.
    """
    if isinstance(student.encoder, BiLSTM):
        return {}
    names = layers_in_bytes(student.encoder.config.num_hidden_layers)
    weights = {name: array(student.encoder.get_submodule(name).get_parameter("weight")).copy() for name in names}
    within = {name: moments[name].copy() for name in names}
    for inner in [name for name in names if name.endswith("intermediate.dense")]:
        outer = inner.replace("intermediate", "output")
        loud = loud_neurons(weights[outer], within[outer])
        weights[inner][loud], weights[outer][:, loud] = 0, 0
        within[outer][loud], within[outer][:, loud] = 0, 0
    return {
        name: (quantise_rows if name.endswith("output.dense") else quantise_turned)(weights[name], within[name])
        for name in names
    }


def student_graph(student: Student, rounded: Mapping[str, Rounded] | None = None) -> onnx.ModelProto:
    """The student's ONNX model: INPUTS int64 (pairs, longest) → logits float32 (pairs, classes), the log of Eq. 6.

    With `rounded` it is the int8 graph: these layers of the body in bytes (`round_layers`), and the vectors of words.
    Raises: TmkdError for a body that is neither BERT nor Bi-LSTM.
    """
    graph, body = Graph(int8=rounded is not None), student.encoder
    if isinstance(body, BiLSTM):
        vector = lstm_vector(graph, body)
    elif body.config.model_type == "bert":
        vector = bert_vector(graph, body, "pooler" if student.config.pool == "pooler" else "first", rounded or {})
    else:
        raise TmkdError(f"a student with a {body.config.model_type} body has no ONNX export; BERT and Bi-LSTM have")
    return graph.model(INPUTS, _answer(graph, vector, student), len(student.labels.names), _settings(student))


def _settings(student: Student) -> dict[str, str]:
    """What `tmkd.bundle.kernel` must know of a BERT body beside its constants."""
    if isinstance(student.encoder, BiLSTM):
        return {}
    config: Any = student.encoder.config
    told = {
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "epsilon": config.layer_norm_eps,
        "activation": config.hidden_act,
        "headers": len(student.headers.linears),
    }
    return {name: str(value) for name, value in told.items()}


def _answer(graph: Graph, vector: str, student: Student) -> str:
    """h1 (pairs, width) → logits: one product for all headers, then log-softmax and the log of their mean (Eq. 6)."""
    linears: Sequence[Any] = list(student.headers.linears)
    weight = np.concatenate([array(linear.weight) for linear in linears])
    bias = np.concatenate([array(linear.bias) for linear in linears])
    product = graph.linear(vector, weight, bias, "headers")
    shape = np.array([0, len(linears), len(student.labels.names)], dtype=np.int64)
    shares = graph.node("LogSoftmax", graph.node("Reshape", product, graph.constant(shape)), axis=-1)
    joined = graph.node("ReduceLogSumExp", shares, graph.constant(np.array([1], dtype=np.int64)), keepdims=0)
    return graph.node("Sub", joined, graph.constant(np.float32(np.log(len(linears)))), name=OUTPUT)
