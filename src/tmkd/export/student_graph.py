"""ONNX graph of a student: its encoder, all headers in one product, and Eq. 6."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from tmkd.errors import TmkdError
from tmkd.export.bert import bert_vector, int8_layers
from tmkd.export.lstm import lstm_vector
from tmkd.export.onnx_graph import INPUTS, Graph, array
from tmkd.export.quantize import Moments, QuantisedWeight, outlier_neurons, quantise_rotated, quantise_rows
from tmkd.network import Student
from tmkd.network.bilstm import BiLSTM

OUTPUT = "logits"


def round_layers(student: Student, moments: Moments) -> dict[str, QuantisedWeight]:
    """Quantise the student's int8 layers, given the `moments` of their inputs; by their names in its encoder.

    The outlier neurons of a feed-forward get codes of 0. Layers that read hidden states rotate them (Hadamard); those
    that read attention's context or the neurons do not. A Bi-LSTM has no int8 layers.
    """
    if isinstance(student.encoder, BiLSTM):
        return {}
    names = int8_layers(student.encoder.config.num_hidden_layers)
    weights = {name: array(student.encoder.get_submodule(name).get_parameter("weight")).copy() for name in names}
    input_moments = {name: moments[name].copy() for name in names}
    for up in [name for name in names if name.endswith("intermediate.dense")]:
        down = up.replace("intermediate", "output")
        outliers = outlier_neurons(weights[down], input_moments[down])
        weights[up][outliers], weights[down][:, outliers] = 0, 0
        input_moments[down][outliers], input_moments[down][:, outliers] = 0, 0
    return {
        name: (quantise_rows if name.endswith("output.dense") else quantise_rotated)(weights[name], input_moments[name])
        for name in names
    }


def student_graph(student: Student, quantised: Mapping[str, QuantisedWeight] | None = None) -> onnx.ModelProto:
    """ONNX model of a student: INPUTS int64 (pairs, longest) → logits float32 (pairs, classes), the log of Eq. 6.

    With `quantised` (`round_layers`) it is the int8 graph: these layers and the word embeddings are int8.
    Raises: TmkdError for an encoder that is neither BERT nor Bi-LSTM.
    """
    graph, body = Graph(int8=quantised is not None), student.encoder
    if isinstance(body, BiLSTM):
        vector = lstm_vector(graph, body)
    elif body.config.model_type == "bert":
        vector = bert_vector(graph, body, student.pool, quantised or {})
    else:
        raise TmkdError(f"a student with a {body.config.model_type} body has no ONNX export; BERT and Bi-LSTM have")
    return graph.model(INPUTS, _logits(graph, vector, student), len(student.labels.names), _settings(student))


def _settings(student: Student) -> dict[str, str]:
    """Settings of a BERT encoder that `tmkd.bundle.kernel` reads beside the constants."""
    if isinstance(student.encoder, BiLSTM):
        return {}
    config = student.encoder.config
    settings = {
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "epsilon": config.layer_norm_eps,
        "activation": config.hidden_act,
        "headers": len(student.headers.linears),
    }
    return {name: str(value) for name, value in settings.items()}


def _logits(graph: Graph, vector: str, student: Student) -> str:
    """Headers on h1 (pairs, width) in one product, their log-softmax, and the log of the mean (Eq. 6)."""
    linears = student.headers.linears
    weight, bias = (
        np.concatenate([array(linear.get_parameter(name)) for linear in linears]) for name in ("weight", "bias")
    )
    product = graph.linear(vector, weight, bias, "headers")
    shape = np.array([0, len(linears), len(student.labels.names)], dtype=np.int64)
    by_header = graph.node("LogSoftmax", graph.node("Reshape", product, graph.constant(shape)), axis=-1)
    total = graph.node("ReduceLogSumExp", by_header, graph.constant(np.array([1], dtype=np.int64)), keepdims=0)
    return graph.node("Sub", total, graph.constant(np.float32(np.log(len(linears)))), name=OUTPUT)
