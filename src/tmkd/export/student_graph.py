"""ONNX graph of a student: its encoder, all headers in one product, and Eq. 6."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from tmkd.bundle.graph import INPUTS
from tmkd.bundle.network_graph import OUTPUT, network_graph
from tmkd.errors import TmkdError
from tmkd.export.bert import bert_constants, bert_settings, int8_layers
from tmkd.export.lstm import lstm_constants
from tmkd.export.onnx_graph import array, linear_constants, onnx_model
from tmkd.export.quantize import Moments, QuantisedWeight, outlier_neurons, quantise_rotated, quantise_rows
from tmkd.network import Student
from tmkd.network.bilstm import BiLSTM


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
    Raises: TmkdError for an encoder that is neither BERT nor Bi-LSTM, or whose activation has no operator.
    """
    body, linears, classes = student.encoder, student.headers.linears, len(student.labels.names)
    settings = {"headers": str(len(linears))}
    int8 = quantised is not None
    if isinstance(body, BiLSTM):
        constants = lstm_constants(body, int8)
    elif body.config.model_type == "bert":
        settings |= bert_settings(body)
        constants = bert_constants(body, student.pool, quantised or {}, int8)
    else:
        raise TmkdError(f"a student with a {body.config.model_type} body has no ONNX export; BERT and Bi-LSTM have")
    weight, bias = (
        np.concatenate([array(linear.get_parameter(name)) for linear in linears]) for name in ("weight", "bias")
    )
    graph = network_graph(constants | linear_constants("headers", weight, bias), settings, classes)
    return onnx_model(graph, INPUTS, OUTPUT, classes, settings)
