"""Nodes of a Bi-LSTM encoder; in the int8 graph its word vectors are int8, its LSTMs fp32."""

from __future__ import annotations

import numpy as np

from tmkd.bundle.graph import BOOL, INPUTS, INT32, INT64, Graph

CLS_ID, SEP_ID = 2, 3  # of every Bi-LSTM's vocabulary
TEXTS = ("question", "passage")
PARTS = ("inputs", "states", "bias")  # an LSTM's constants, in the order of the operator's inputs


def lstm_vector(graph: Graph) -> tuple[str, int]:
    """Compute h1 = [question; passage] from INPUTS: the states' maximum over a text's words, (pairs, width).

    Returns its name and width.  Raises: ValueError when a constant is not a Bi-LSTM's.
    """
    ids, mask, types = INPUTS
    real = graph.node("Cast", mask, to=BOOL)
    for special in (CLS_ID, SEP_ID):
        real = graph.node("And", real, graph.node("Not", graph.node("Equal", ids, graph.constant(np.int64(special)))))
    vectors, width = [], 0
    for kind, text in enumerate(TEXTS):
        own = graph.node("And", real, graph.node("Equal", types, graph.constant(np.int64(kind))))
        vector, its_width = _text(graph, text, graph.node("Cast", own, to=INT64))
        vectors.append(vector)
        width += its_width
    return graph.node("Concat", *vectors, axis=1), width


def _text(graph: Graph, text: str, own: str) -> tuple[str, int]:
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
    vectors, width = graph.embedding(words, "words")
    states = graph.node("Transpose", vectors, perm=(1, 0, 2))  # (longest text, pairs, width)
    counts = graph.node("Cast", graph.node("Squeeze", lengths, second), to=INT32)
    units = graph.shape(f"{text}.0.states", 3)[2]
    merged = graph.constant(np.array([0, 0, 2 * units], dtype=np.int64))
    layer = 0
    while f"{text}.{layer}.states" in graph.constants:
        shapes = (2, 4 * units, width), (2, 4 * units, units), (2, 8 * units)
        weights = [
            graph.named(f"{text}.{layer}.{part}", np.float32, *shape) for part, shape in zip(PARTS, shapes, strict=True)
        ]
        both = graph.node("LSTM", states, *weights, counts, direction="bidirectional", hidden_size=units)
        states = graph.node("Reshape", graph.node("Transpose", both, perm=(0, 2, 1, 3)), merged)
        layer, width = layer + 1, 2 * units
    by_pair = graph.node("Transpose", states, perm=(1, 0, 2))
    least = graph.constant(np.float32(-np.inf))
    third = graph.constant(np.array([2], dtype=np.int64))
    inside = graph.node("Where", graph.node("Unsqueeze", within, third), by_pair, least)
    return graph.node("ReduceMax", inside, second, keepdims=0), width
