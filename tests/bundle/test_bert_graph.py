"""Nodes of a BERT encoder over its constants; the numbers they compute are tested with the export."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.bundle.bert_graph import BertSettings, bert_vector
from tmkd.bundle.graph import Graph

WIDTH, NEURONS = 4, 6
SETTINGS = BertSettings(1, 2, 1e-12, "gelu")


def constants() -> dict[str, np.ndarray]:
    """Constants of a BERT of one layer, without a pooler."""
    layer = "encoder.layer.0"
    linears = {f"{layer}.attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
    linears |= {f"{layer}.attention.output.dense": (WIDTH, WIDTH), f"{layer}.intermediate.dense": (WIDTH, NEURONS)}
    linears |= {f"{layer}.output.dense": (NEURONS, WIDTH)}
    norms = ("embeddings.LayerNorm", f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm")
    shapes: dict[str, tuple[int, ...]] = {"words.weight": (9, WIDTH), "positions": (8, WIDTH), "types": (2, WIDTH)}
    shapes |= {f"{name}.weight": shape for name, shape in linears.items()}
    shapes |= {f"{name}.bias": shape[1:] for name, shape in linears.items()}
    shapes |= {f"{name}.{part}": (WIDTH,) for name in norms for part in ("weight", "bias")}
    return {name: np.ones(shape, dtype=np.float32) for name, shape in shapes.items()}


def test_every_constant_is_used_once_and_no_other() -> None:
    graph = Graph(constants())
    vector, width = bert_vector(graph, SETTINGS)
    assert width == WIDTH
    assert vector == graph.nodes[-1].output
    assert constants().keys() <= graph.used.keys()
    operators = [node.operator for node in graph.nodes]
    assert (operators.count("Softmax"), operators.count("Gelu"), operators.count("LayerNormalization")) == (1, 1, 3)


def test_a_pooler_is_read_where_there_is_one() -> None:
    square = np.ones((WIDTH, WIDTH), dtype=np.float32)
    graph = Graph(constants() | {"pooler.weight": square, "pooler.bias": square[0]})
    bert_vector(graph, SETTINGS)
    assert graph.nodes[-1].operator == "Tanh"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"heads": 3}, "4 channels are no multiple of 3 heads"),
        ({"activation": "silu"}, "the activation silu is none of gelu"),
        ({"layers": 2}, r"constant encoder\.layer\.1\..* is missing"),
        ({"layers": 10**9}, "1000000000 layers do not have 21 constants"),
    ],
)
def test_settings_that_do_not_fit_the_constants_are_refused(changes: dict[str, int | str], fault: str) -> None:
    settings = SETTINGS._asdict() | changes
    with pytest.raises(ValueError, match=fault):
        bert_vector(Graph(constants()), BertSettings(**settings))


@pytest.mark.parametrize("changes", [{"layers": "0"}, {"heads": "02"}, {"epsilon": "nan"}, {"epsilon": "2.0"}])
def test_settings_that_tmkd_does_not_write_are_refused(changes: dict[str, str]) -> None:
    written = {name: str(value) for name, value in SETTINGS._asdict().items()}
    assert BertSettings.of(written) == SETTINGS
    with pytest.raises(ValueError, match="a BERT cannot have the settings"):
        BertSettings.of(written | changes)
