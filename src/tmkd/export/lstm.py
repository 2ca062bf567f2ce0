"""ONNX nodes of a Bi-LSTM encoder; in the int8 graph its word vectors are int8, its LSTMs fp32."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from torch import nn

from tmkd.export.onnx_graph import INPUTS, Graph, array
from tmkd.network.bilstm import FIRST, SEPARATOR, SPECIALS, BiLSTM

_GATES = (0, 3, 1, 2)  # torch's order is input, forget, cell, output; ONNX's input, output, forget, cell


def lstm_vector(graph: Graph, encoder: BiLSTM) -> str:
    """Compute h1 = [question; passage] from INPUTS: the states' maximum over a text's words, (pairs, width)."""
    ids, mask, types = INPUTS
    real = graph.node("Cast", mask, to=TensorProto.BOOL)
    for special in (FIRST, SEPARATOR):
        is_it = graph.node("Equal", ids, graph.constant(np.int64(SPECIALS.index(special))))
        real = graph.node("And", real, graph.node("Not", is_it))
    table = array(encoder.embeddings.weight)
    texts = []
    for kind, layers in enumerate((encoder.question, encoder.passage)):
        own = graph.node("And", real, graph.node("Equal", types, graph.constant(np.int64(kind))))
        texts.append(_text(graph, table, layers, graph.node("Cast", own, to=TensorProto.INT64)))
    return graph.node("Concat", *texts, axis=1)


def _text(graph: Graph, table: np.ndarray, layers: nn.LSTM, own: str) -> str:
    """Encode one text of each pair: the neighbouring tokens where `own` (pairs, longest) is 1."""
    first, second = (graph.constant(np.array([axis], dtype=np.int64)) for axis in (0, 1))
    zero, one = (graph.constant(np.int64(number)) for number in (0, 1))
    lengths = graph.node("Max", graph.node("ReduceSum", own, second, keepdims=1), one)  # (pairs, 1)
    places = graph.node("Range", zero, graph.node("ReduceMax", lengths, keepdims=0), one)  # (longest text,)
    within = graph.node("Less", graph.node("Unsqueeze", places, first), lengths)
    begin = graph.node("ArgMax", own, axis=1, keepdims=1)
    last = graph.node("Sub", graph.node("Gather", graph.node("Shape", own), one), one)
    at = graph.node("Min", graph.node("Add", begin, graph.node("Unsqueeze", places, first)), last)
    words = graph.node(
        "Mul", graph.node("GatherElements", INPUTS[0], at, axis=1), graph.node("GatherElements", own, at, axis=1)
    )
    vectors = graph.embedding(table, words, "words")
    states = graph.node("Transpose", vectors, perm=(1, 0, 2))  # (longest text, pairs, width)
    counts = graph.node("Cast", graph.node("Squeeze", lengths, second), to=TensorProto.INT32)
    merged = graph.constant(np.array([0, 0, 2 * layers.hidden_size], dtype=np.int64))
    for layer in range(layers.num_layers):
        both = graph.node(
            "LSTM",
            states,
            *_weights(graph, layers, layer),
            counts,
            direction="bidirectional",
            hidden_size=layers.hidden_size,
        )
        states = graph.node("Reshape", graph.node("Transpose", both, perm=(0, 2, 1, 3)), merged)
    by_pair = graph.node("Transpose", states, perm=(1, 0, 2))
    least = graph.constant(np.float32(-np.inf))
    third = graph.constant(np.array([2], dtype=np.int64))
    return graph.node(
        "ReduceMax", graph.node("Where", graph.node("Unsqueeze", within, third), by_pair, least), second, keepdims=0
    )


def _weights(graph: Graph, layers: nn.LSTM, layer: int) -> list[str]:
    """Weights of both directions: of inputs (2, 4 units, in), of states (2, 4 units, units), biases (2, 8 units)."""

    def gates(name: str) -> np.ndarray:
        both = [array(getattr(layers, f"{name}_l{layer}{direction}")) for direction in ("", "_reverse")]
        return np.stack([np.concatenate([np.split(one, 4)[gate] for gate in _GATES]) for one in both])

    biases = np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1)
    return [graph.constant(value) for value in (gates("weight_ih"), gates("weight_hh"), biases)]
