"""A BERT body in an ONNX graph: its last layer for the first token only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from transformers import PreTrainedModel

from tmkd.errors import TmkdError
from tmkd.export.onnx_graph import INPUTS, Graph, array
from tmkd.export.quantize import Rounded
from tmkd.network.encoder import Pool

_MASKED = -10_000.0  # added to a padded position's score: e^−10000 is 0, and no product of it can be NaN
_GELUS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


def layers_in_bytes(layers: int) -> list[str]:
    """The linear layers of a BERT that an int8 graph computes in bytes.

    Of the last layer only keys and values: all else of it is one token's, so little that it stays fp32.
    """
    last = ("attention.self.key", "attention.self.value")
    whole = (*last, "attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense")
    return [
        f"encoder.layer.{layer}.{part}" for layer in range(layers) for part in (last if layer == layers - 1 else whole)
    ]


def bert_vector(graph: Graph, encoder: PreTrainedModel, pool: Pool, rounded: Mapping[str, Rounded]) -> str:
    """h1 of INPUTS: the pooler's output, or the first token's last hidden state, (pairs, width).

    The layers of `rounded`, by their names, are computed in bytes.
    Raises: TmkdError for an activation that ONNX has no operator for.
    """
    config: Any = encoder.config
    if config.hidden_act not in _GELUS:
        raise TmkdError(
            f"a student whose activation is {config.hidden_act} has no ONNX export; {', '.join(_GELUS)} have"
        )
    weights = {name: array(tensor) for name, tensor in encoder.state_dict().items()}
    body = _Bert(graph, config, weights, rounded)
    first = body.first_token()
    if pool == "first":
        return first
    weight, bias = (body.weights[f"pooler.dense.{part}"] for part in ("weight", "bias"))
    return graph.node("Tanh", graph.linear(first, weight, bias, "pooler"))


class _Bert:
    """The embeddings and layers of one BERT, written into one graph. Hidden states are (pairs, longest, width)."""

    def __init__(
        self, graph: Graph, config: Any, weights: Mapping[str, np.ndarray], rounded: Mapping[str, Rounded]
    ) -> None:
        self.graph, self.config, self.weights, self.rounded = graph, config, weights, rounded
        self.width, self.heads = config.hidden_size, config.num_attention_heads
        self.zero, self.one = (graph.constant(np.array([place], dtype=np.int64)) for place in (0, 1))

    def first_token(self) -> str:
        """The whole encoder: the last hidden state of each pair's first token, (pairs, width)."""
        hidden, mask = self._embeddings(), self._mask()
        for layer in range(self.config.num_hidden_layers):
            last = layer == self.config.num_hidden_layers - 1
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask, last)
        return self.graph.node("Squeeze", hidden, self.one)

    def _embeddings(self) -> str:
        graph = self.graph
        words, positions, types = (
            self.weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        )
        longest = graph.node("Slice", graph.node("Shape", INPUTS[0]), self.one, graph.constant(np.array([2])))
        places = graph.node("Slice", graph.constant(positions, "positions"), self.zero, longest, self.zero)
        typed = graph.node("Gather", graph.constant(types, "types"), INPUTS[2])
        summed = graph.node("Add", graph.embedding(words, INPUTS[0], "words"), typed)
        return self._norm(graph.node("Add", summed, places), "embeddings.LayerNorm")

    def _mask(self) -> str:
        """0 where there is a token and a large negative number where there is none, (pairs, 1, 1, longest)."""
        graph = self.graph
        real = graph.node("Cast", INPUTS[1], to=onnx.TensorProto.FLOAT)
        absent = graph.node("Sub", real, graph.constant(np.float32(1)))
        scaled = graph.node("Mul", absent, graph.constant(np.float32(-_MASKED)))
        return graph.node("Unsqueeze", scaled, graph.constant(np.array([1, 2], dtype=np.int64)))

    def _layer(self, name: str, hidden: str, mask: str, last: bool) -> str:
        """One layer; of the last one only the first token, for nothing else of it is read.

        A key's bias adds the same to all scores of a query, so softmax does not see it; a value's bias goes through
        softmax's weights unchanged, so the next product's bias takes it. Neither costs anything here.
        """
        graph, attention = self.graph, f"{name}.attention.self"
        asking = graph.node("Slice", hidden, self.zero, self.one, self.one) if last else hidden
        scale = np.float32((self.width / self.heads) ** -0.5)
        weight, bias, rounded = self._weight(f"{attention}.query")
        rounded = rounded and rounded._replace(scales=rounded.scales * scale)
        query = graph.linear(asking, weight * scale, bias * scale, f"{attention}.query", rounded)
        weight, _, rounded = self._weight(f"{attention}.key")
        key = graph.linear(hidden, weight, None, f"{attention}.key", rounded)
        weight, value_bias, rounded = self._weight(f"{attention}.value")
        value = graph.linear(hidden, weight, None, f"{attention}.value", rounded)
        query, value = (self._heads(one, (0, 2, 1, 3)) for one in (query, value))
        key = self._heads(key, (0, 2, 3, 1))
        scores = graph.node("Add", graph.node("MatMul", query, key), mask)
        mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
        mixed = graph.node("Transpose", mixed, perm=(0, 2, 1, 3))
        mixed = graph.node("Reshape", mixed, graph.constant(np.array([0, 0, self.width], dtype=np.int64)))
        output = f"{name}.attention.output.dense"
        weight, bias, rounded = self._weight(output)
        attended = graph.linear(mixed, weight, bias + weight @ value_bias, output, rounded)
        between = self._norm(graph.node("Add", attended, asking), f"{name}.attention.output.LayerNorm")
        return self._norm(graph.node("Add", self._feed_forward(between, name), between), f"{name}.output.LayerNorm")

    def _feed_forward(self, hidden: str, name: str) -> str:
        """Neurons that have no bytes, the loud ones, are computed beside the others in fp32."""
        inner, outer = f"{name}.intermediate", f"{name}.output"
        weight, bias, rounded = self._weight(f"{inner}.dense")
        onward, onward_bias, onward_rounded = self._weight(f"{outer}.dense")
        apart = np.zeros(len(bias), dtype=bool) if onward_rounded is None else ~onward_rounded.steps.any(axis=0)
        neurons = self._gelu(self.graph.linear(hidden, weight, np.where(apart, 0, bias), f"{inner}.dense", rounded))
        fed = self.graph.linear(neurons, onward, onward_bias, f"{outer}.dense", onward_rounded, after_gelu=True)
        if not apart.any():
            return fed
        weight, onward = (self.weights[f"{part}.dense.weight"] for part in (inner, outer))
        loud = self._gelu(self.graph.linear(hidden, weight[apart], bias[apart], f"{inner}.loud"))
        return self.graph.node("Add", fed, self.graph.linear(loud, onward[:, apart], None, f"{outer}.loud"))

    def _gelu(self, inputs: str) -> str:
        return self.graph.node("Gelu", inputs, approximate=_GELUS[self.config.hidden_act])

    def _heads(self, projected: str, order: Sequence[int]) -> str:
        """(pairs, tokens, width) by heads, transposed to `order` of (pairs, tokens, heads, width of one)."""
        shape = self.graph.constant(np.array([0, 0, self.heads, self.width // self.heads], dtype=np.int64))
        return self.graph.node("Transpose", self.graph.node("Reshape", projected, shape), perm=tuple(order))

    def _weight(self, name: str) -> tuple[np.ndarray, np.ndarray, Rounded | None]:
        """A linear layer's weight (out, in), bias (out,), and the weight in bytes if it is computed so."""
        rounded = self.rounded.get(name)
        weight = self.weights[f"{name}.weight"] if rounded is None else rounded.matrix
        return weight, self.weights[f"{name}.bias"], rounded

    def _norm(self, hidden: str, name: str) -> str:
        weight, bias = (
            self.graph.constant(self.weights[f"{name}.{part}"], f"{name}.{part}") for part in ("weight", "bias")
        )
        return self.graph.node(
            "LayerNormalization", hidden, weight, bias, axis=-1, epsilon=float(self.config.layer_norm_eps)
        )
