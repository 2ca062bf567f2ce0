"""Graph of a student, body, headers and Eq. 6, over its constants; and the check of a file against it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tmkd.bundle.bert_graph import BertSettings, bert_vector
from tmkd.bundle.graph import FLOAT, INPUTS, INT64, Constants, Graph, Node
from tmkd.bundle.lstm_graph import PARTS, TEXTS, lstm_vector
from tmkd.bundle.onnx_reader import OnnxGraph

OUTPUT = "logits"
AXES = ("pairs", "longest")
_OF_THE_GRAPH = re.compile(r"c\d+")  # names of constants that are no part of the network, such as axes

_LARGEST = 1 << 16  # bytes of such a constant


class NetworkSize(NamedTuple):
    """Numbers of a network's classes, headers, ids, positions (None: any) and token types."""

    classes: int
    headers: int
    words: int
    longest: int | None
    types: int


def network_graph(constants: Mapping[str, np.ndarray], settings: Mapping[str, str], classes: int) -> Graph:
    """Graph INPUTS int64 (pairs, longest) → logits float32 (pairs, classes), the log of Eq. 6.

    A network with the setting `heads` is a BERT, else a Bi-LSTM.
    Raises: ValueError when a constant or setting is not such a network's.
    """
    graph = Graph(constants)
    vector, width = bert_vector(graph, BertSettings.of(settings)) if "heads" in settings else lstm_vector(graph)
    (outputs,) = graph.shape("headers.bias", 1)
    headers, rest = divmod(outputs, max(classes, 1))
    if classes < 2 or rest or settings.get("headers", str(headers)) != str(headers):
        raise ValueError(f"headers of {outputs} outputs do not give {classes} classes")
    product = graph.linear(vector, "headers", (width, outputs))
    shape = np.array([0, headers, classes], dtype=np.int64)
    by_header = graph.node("LogSoftmax", graph.node("Reshape", product, graph.constant(shape)), axis=-1)
    total = graph.node("ReduceLogSumExp", by_header, graph.constant(np.array([1], dtype=np.int64)), keepdims=0)
    graph.node("Sub", total, graph.constant(np.float32(np.log(headers))), name=OUTPUT)
    return graph


def check_graph(given: OnnxGraph) -> NetworkSize:
    """Check that a file has exactly the nodes, inputs and constants of a student; returns its size.

    No other operator, loop, repetition or broadcast can stand in it then: time and memory follow from its size.
    Raises: ValueError when it has others.
    """
    ((output, kind, axes),) = given.outputs if len(given.outputs) == 1 else (("", 0, ()),)
    inputs = [(name, INT64, AXES) for name in INPUTS]
    if given.inputs != inputs or (output, kind, axes[:1], len(axes)) != (OUTPUT, FLOAT, AXES[:1], 2):
        raise ValueError("its inputs and outputs are not a student's")
    if not isinstance(axes[1], int):
        raise ValueError("its number of classes is not fixed")
    nodes, constants = _with_named_lstms(given.nodes, given.constants)
    named = {name: array for name, array in constants.items() if not _OF_THE_GRAPH.fullmatch(name)}
    expected = network_graph(named, given.settings, axes[1])
    unknown = named.keys() - expected.used.keys()
    if unknown:
        raise ValueError(f"constant {min(unknown)} is not a student's")
    if _canonical(nodes, constants) != _canonical(expected.nodes, expected.constants):
        raise ValueError("its nodes are not a student's")
    words = named["words.codes" if "words.codes" in named else "words.weight"]
    return NetworkSize(
        classes=axes[1],
        headers=len(named["headers.bias"]) // axes[1],
        words=len(words),
        longest=len(named["positions"]) if "positions" in named else None,
        types=len(named["types"]) if "types" in named else len(TEXTS),
    )


def _canonical(nodes: Sequence[Node], constants: Constants) -> list[Any]:
    """Nodes in a form that does not depend on names that are chosen freely."""
    places: dict[str, int] = {}
    form: list[Any] = []
    for node in nodes:
        inputs: list[Any] = []
        for name in node.inputs:
            if name in constants and _OF_THE_GRAPH.fullmatch(name):
                value = constants[name]
                if value.nbytes > _LARGEST:
                    raise ValueError(f"constant {name} is not a student's")
                inputs.append((value.dtype.str, value.shape, value.tobytes()))
            else:
                inputs.append(places.get(name, name))
        attributes = {
            key: float(np.float32(value)) if isinstance(value, float) else value
            for key, value in node.attributes.items()
        }
        form.append((node.operator, inputs, attributes))
        if node.output in places or node.output in constants or node.output in INPUTS:
            raise ValueError(f"two tensors are called {node.output}")
        places[node.output] = len(places)
    return [*form, nodes[-1].output if nodes else ""]


def _with_named_lstms(nodes: Sequence[Node], constants: Constants) -> tuple[Sequence[Node], Constants]:
    """Nodes and constants in which the weights of LSTMs have names: files of version 2 only number them."""
    lstms = [node for node in nodes if node.operator == "LSTM"]
    names: dict[str, str] = {}
    for number, node in enumerate(lstms):
        text, layer = divmod(number, max(len(lstms) // 2, 1))
        for name, part in zip(node.inputs[1:4], PARTS, strict=False):
            if _OF_THE_GRAPH.fullmatch(name) and text < len(TEXTS):
                names[name] = f"{TEXTS[text]}.{layer}.{part}"
    renamed = [node._replace(inputs=tuple(names.get(name, name) for name in node.inputs)) for node in nodes]
    return renamed, {names.get(name, name): array for name, array in constants.items()}
