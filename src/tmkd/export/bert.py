"""A BERT body in an ONNX graph: its last layer for the first token only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from transformers import PreTrainedModel

from tmkd.errors import TmkdError
from tmkd.export.graph import INPUTS, Graph, array
from tmkd.network.encoder import Pool

_MASKED = -10_000.0  # added to a padded position's score: e^−10000 is 0, and no product of it can be NaN
_GELUS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


def bert_vector(graph: Graph, encoder: PreTrainedModel, pool: Pool, moments: Mapping[str, np.ndarray]) -> str:
    """h1 of INPUTS: the pooler's output, or the first token's last hidden state, (pairs, width).

    Int8 weights are rounded by the `moments` of their inputs, by the layers' names, where they are given.
    Raises: TmkdError for an activation that ONNX has no operator for.
    """
    config: Any = encoder.config
    if config.hidden_act not in _GELUS:
        raise TmkdError(
            f"a student whose activation is {config.hidden_act} has no ONNX export; {', '.join(_GELUS)} have"
        )
    weights = {name: array(tensor) for name, tensor in encoder.state_dict().items()}
    body = _Bert(graph, config, weights, moments)
    first = body.first_token()
    return graph.node("Tanh", body.exact(first, "pooler.dense")) if pool == "pooler" else first


class _Bert:
    """The embeddings and layers of one BERT, written into one graph. Hidden states are (pairs, longest, width)."""

    def __init__(
        self, graph: Graph, config: Any, weights: Mapping[str, np.ndarray], moments: Mapping[str, np.ndarray]
    ) -> None:
        self.graph, self.config, self.weights, self.moments = graph, config, weights, moments
        self.width, self.heads = config.hidden_size, config.num_attention_heads
        self.zero, self.one = (graph.constant(np.array([place], dtype=np.int64)) for place in (0, 1))

    def first_token(self) -> str:
        """The whole encoder: the last hidden state of each pair's first token, (pairs, width)."""
        hidden, mask = self._embeddings(), self._mask()
        for layer in range(self.config.num_hidden_layers):
            last = layer == self.config.num_hidden_layers - 1
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask, last)
        return self.graph.node("Squeeze", hidden, self.one)

    def exact(self, inputs: str, name: str) -> str:
        """A small product that stays fp32 in every graph."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return self.graph.node("Gemm", inputs, self.graph.constant(weight), self.graph.constant(bias), transB=1)

    def _embeddings(self) -> str:
        graph = self.graph
        words, positions, types = (
            self.weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        )
        longest = graph.node("Slice", graph.node("Shape", INPUTS[0]), self.one, graph.constant(np.array([2])))
        places = graph.node("Slice", graph.constant(positions), self.zero, longest, self.zero)
        summed = graph.node(
            "Add", graph.embedding(words, INPUTS[0]), graph.node("Gather", graph.constant(types), INPUTS[2])
        )
        return self._norm(graph.node("Add", summed, places), "embeddings.LayerNorm")

    def _mask(self) -> str:
        """0 where there is a token and a large negative number where there is none, (pairs, 1, 1, longest)."""
        graph = self.graph
        real = graph.node("Cast", INPUTS[1], to=onnx.TensorProto.FLOAT)
        absent = graph.node("Sub", real, graph.constant(np.float32(1)))
        scaled = graph.node("Mul", absent, graph.constant(np.float32(-_MASKED)))
        return graph.node("Unsqueeze", scaled, graph.constant(np.array([1, 2], dtype=np.int64)))

    def _layer(self, name: str, hidden: str, mask: str, last: bool) -> str:
        """One layer; of the last one only the first token, for nothing else of it is read: so little that it is fp32.

        A key's bias adds the same to all scores of a query, so softmax does not see it; a value's bias goes through
        softmax's weights unchanged, so the next product's bias takes it. Neither costs anything here.
        """
        graph, attention = self.graph, f"{name}.attention.self"
        asking = graph.node("Slice", hidden, self.zero, self.one, self.one) if last else hidden
        scale = np.float32((self.width / self.heads) ** -0.5)
        weight, bias, moments = self._weight(f"{attention}.query")
        query = self._heads(graph.linear(asking, weight * scale, bias * scale, moments, exact=last), (0, 2, 1, 3))
        weight, _, moments = self._weight(f"{attention}.key")
        key = self._heads(graph.linear(hidden, weight, None, moments), (0, 2, 3, 1))
        weight, value_bias, moments = self._weight(f"{attention}.value")
        value = self._heads(graph.linear(hidden, weight, None, moments), (0, 2, 1, 3))
        scores = graph.node("Add", graph.node("MatMul", query, key), mask)
        mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
        mixed = graph.node("Transpose", mixed, perm=(0, 2, 1, 3))
        mixed = graph.node("Reshape", mixed, graph.constant(np.array([0, 0, self.width], dtype=np.int64)))
        weight, bias, moments = self._weight(f"{name}.attention.output.dense")
        attended = graph.linear(mixed, weight, bias + weight @ value_bias, moments, exact=last)
        between = self._norm(graph.node("Add", attended, asking), f"{name}.attention.output.LayerNorm")
        wide = graph.linear(between, *self._weight(f"{name}.intermediate.dense"), exact=last)
        wide = graph.node("Gelu", wide, approximate=_GELUS[self.config.hidden_act])
        narrow = graph.linear(wide, *self._weight(f"{name}.output.dense"), after_gelu=True, exact=last)
        return self._norm(graph.node("Add", narrow, between), f"{name}.output.LayerNorm")

    def _heads(self, projected: str, order: Sequence[int]) -> str:
        """(pairs, tokens, width) by heads, transposed to `order` of (pairs, tokens, heads, width of one)."""
        shape = self.graph.constant(np.array([0, 0, self.heads, self.width // self.heads], dtype=np.int64))
        return self.graph.node("Transpose", self.graph.node("Reshape", projected, shape), perm=tuple(order))

    def _weight(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """A linear layer's weight (out, in), bias (out,) and the moments of its inputs (in, in), if they are known."""
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], self.moments.get(name)

    def _norm(self, hidden: str, name: str) -> str:
        weight, bias = (self.graph.constant(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.graph.node(
            "LayerNormalization", hidden, weight, bias, axis=-1, epsilon=float(self.config.layer_norm_eps)
        )
