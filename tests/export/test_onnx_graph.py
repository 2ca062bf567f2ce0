from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from tmkd.bundle.graph import Graph, hadamard
from tmkd.export.onnx_graph import embedding_constants, linear_constants, onnx_model
from tmkd.export.quantize import quantise_rotated, quantise_rows

RNG = np.random.default_rng(1)
WEIGHT = RNG.normal(size=(5, 32)).astype(np.float32)
BIAS = RNG.normal(size=5).astype(np.float32)


def output(graph: Graph, name: str, inputs: np.ndarray, width: int) -> np.ndarray:
    """The graph's output for one input `x` of the array's type."""
    model = onnx_model(graph, ["x"], name, width)
    model.graph.input[0].type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(inputs.dtype)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": inputs})[0])


@pytest.mark.parametrize(("after_gelu", "rotated"), [(False, False), (True, False), (False, True)])
def test_a_tokens_quantised_inputs_do_not_depend_on_other_tokens(after_gelu: bool, rotated: bool) -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(5, 32)).astype(np.float32), np.zeros(5, dtype=np.float32)
    quantised = quantise_rotated(weight, np.eye(32)) if rotated else quantise_rows(weight)
    graph = Graph({**linear_constants("layer", weight, bias, quantised), "hadamard": hadamard()})
    name = graph.linear("x", "layer", (32, 5), rotated, after_gelu)
    tokens = np.maximum(rng.normal(size=(6, 32)), -0.17 if after_gelu else -9).astype(np.float32)
    tokens[3] *= 100 if not after_gelu else 1  # one token of another size, as [CLS] is
    together = output(graph, name, tokens, 5)
    for row in range(6):
        np.testing.assert_array_equal(together[row], output(graph, name, tokens[row : row + 1], 5)[0])
    np.testing.assert_allclose(together, tokens @ weight.T, atol=0.03 * np.abs(tokens).max())


@pytest.mark.parametrize("bias", [None, BIAS])
def test_a_linear_layer_in_fp32_is_exact(bias: np.ndarray | None) -> None:
    graph = Graph(linear_constants("layer", WEIGHT, bias))
    tokens = RNG.normal(size=(3, 32)).astype(np.float32)
    expected = tokens @ WEIGHT.T + (0 if bias is None else bias)
    found = output(graph, graph.linear("x", "layer", (32, 5)), tokens, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [128, 10])
def test_int8_embeddings_lose_at_most_half_a_code_of_their_group(width: int) -> None:
    table = RNG.normal(size=(7, width)).astype(np.float32)
    table[:, 0] *= 100  # of the first group of 64 numbers, where there are several
    ids = np.array([[6, 0], [2, 2]])
    graph = Graph(embedding_constants("words", table, int8=True))
    name, found = graph.embedding("x", "words")
    assert found == width
    lost = np.abs(output(graph, name, ids, width) - table[ids])
    assert lost.max() <= np.abs(table).max() / 127 / 2 + 1e-5
    if width == 128:
        assert lost[..., 64:].max() <= np.abs(table[:, 64:]).max() / 127 / 2 + 1e-5


def test_constants_in_use_are_written_once_and_metadata_is_kept() -> None:
    graph = Graph({"one": np.ones(1, dtype=np.float32), "two": np.ones(2, dtype=np.float32)})
    assert [graph.named("one", np.float32, 1) for _ in range(2)] == ["one", "one"]
    model = onnx_model(graph, [], "one", 1, {"heads": "2"})
    assert [one.name for one in model.graph.initializer] == ["one"]
    assert {one.key: one.value for one in model.metadata_props} == {"heads": "2"}
