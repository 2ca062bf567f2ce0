"""Nodes of a Bi-LSTM encoder over its constants; the numbers they compute are tested with the export."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.bundle.graph import Graph
from tmkd.bundle.lstm_graph import TEXTS, lstm_vector

WORDS, UNITS = 6, 3


def constants(layers: int = 2) -> dict[str, np.ndarray]:
    """Constants of a Bi-LSTM for each text: word vectors, and per layer the weights of both directions."""
    shapes: dict[str, tuple[int, ...]] = {"words.weight": (9, WORDS)}
    for text in TEXTS:
        for layer in range(layers):
            inputs = 2 * UNITS if layer else WORDS
            shapes[f"{text}.{layer}.inputs"] = (2, 4 * UNITS, inputs)
            shapes[f"{text}.{layer}.states"] = (2, 4 * UNITS, UNITS)
            shapes[f"{text}.{layer}.bias"] = (2, 8 * UNITS)
    return {name: np.ones(shape, dtype=np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("layers", [1, 2])
def test_each_text_has_an_lstm_per_layer_and_half_of_the_vector(layers: int) -> None:
    graph = Graph(constants(layers))
    vector, width = lstm_vector(graph)
    assert vector == graph.nodes[-1].output
    assert width == len(TEXTS) * 2 * UNITS
    lstms = [node for node in graph.nodes if node.operator == "LSTM"]
    assert [node.inputs[1] for node in lstms] == [f"{text}.{layer}.inputs" for text in TEXTS for layer in range(layers)]
    assert {node.attributes["hidden_size"] for node in lstms} == {UNITS}
    assert constants(layers).keys() <= graph.used.keys()


@pytest.mark.parametrize("name", ["words.weight", "question.0.states", "passage.1.inputs", "passage.1.bias"])
def test_a_constant_that_is_missing_is_named(name: str) -> None:
    given = constants()
    del given[name]
    with pytest.raises(ValueError, match=f"constant {name} is missing"):
        lstm_vector(Graph(given))


def test_weights_of_another_size_are_refused() -> None:
    given = constants() | {"question.1.inputs": np.ones((2, 4 * UNITS, WORDS + 1), dtype=np.float32)}
    with pytest.raises(ValueError, match=r"constant question\.1\.inputs is float32 \(2, 12, 7\), not float32"):
        lstm_vector(Graph(given))
