"""Nodes of a BERT encoder; of its last layer only the first token is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tmkd.bundle.graph import FLOAT, INPUTS, Graph

_MASKED = -10_000.0  # added to the attention scores of padding: e^−10000 is 0, and no product with it can be NaN
GELUS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


class BertSettings(NamedTuple):
    """A BERT's settings beside its constants, as a graph's metadata has them."""

    layers: int
    heads: int
    epsilon: float
    activation: str

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> BertSettings:
        """Settings of metadata.  Raises: ValueError when one is missing, or written otherwise than by tmkd."""
        found = {name: settings.get(name, "") for name in cls._fields}
        read = cls(int(found["layers"]), int(found["heads"]), float(found["epsilon"]), found["activation"])
        written = {name: str(value) for name, value in read._asdict().items()}
        if written != found or min(read.layers, read.heads) < 1 or not 0 < read.epsilon < 1:
            raise ValueError(f"a BERT cannot have the settings {found}")
        return read


def bert_vector(graph: Graph, settings: BertSettings) -> tuple[str, int]:
    """Compute h1 from INPUTS: the pooler's output, or the first token's last hidden state, (pairs, width).

    Returns its name and width.  Raises: ValueError when a constant or a setting is not a BERT's.
    """
    if settings.activation not in GELUS:
        raise ValueError(f"the activation {settings.activation} is none of {', '.join(GELUS)}")
    if settings.layers > len(graph.constants):  # before anything is repeated so often
        raise ValueError(f"{settings.layers} layers do not have {len(graph.constants)} constants")
    body = _Bert(graph, settings)
    first = body.first_token()
    if "pooler.weight" not in graph.constants:
        return first, body.width
    return graph.node("Tanh", graph.linear(first, "pooler", (body.width, body.width))), body.width


class _Bert:
    """Writer of one BERT's embeddings and layers into a graph. Hidden states are (pairs, longest, width)."""

    def __init__(self, graph: Graph, settings: BertSettings) -> None:
        self.graph, self.settings = graph, settings
        self.width, self.heads = graph.shape("positions", 2)[1], settings.heads
        if self.width % self.heads:
            raise ValueError(f"{self.width} channels are no multiple of {self.heads} heads")
        self.zero, self.one = (graph.constant(np.array([place], dtype=np.int64)) for place in (0, 1))

    def first_token(self) -> str:
        """Last hidden state of each pair's first token, (pairs, width)."""
        hidden, mask = self._embeddings(), self._mask()
        for layer in range(self.settings.layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask, layer == self.settings.layers - 1)
        return self.graph.node("Squeeze", hidden, self.one)

    def _embeddings(self) -> str:
        graph, width = self.graph, self.width
        longest = graph.node("Slice", graph.node("Shape", INPUTS[0]), self.one, graph.constant(np.array([2])))
        positions, types = (
            graph.named(table, np.float32, graph.shape(table, 2)[0], width) for table in ("positions", "types")
        )
        places = graph.node("Slice", positions, self.zero, longest, self.zero)
        segments = graph.node("Gather", types, INPUTS[2])
        words, word_width = graph.embedding(INPUTS[0], "words")
        if word_width != width:
            raise ValueError(f"words have {word_width} channels, positions {width}")
        return self._norm(graph.node("Add", graph.node("Add", words, segments), places), "embeddings.LayerNorm")

    def _mask(self) -> str:
        """Attention mask to add to scores, (pairs, 1, 1, longest): 0 for tokens, _MASKED for padding."""
        graph = self.graph
        real = graph.node("Cast", INPUTS[1], to=FLOAT)
        absent = graph.node("Sub", real, graph.constant(np.float32(1)))
        scaled = graph.node("Mul", absent, graph.constant(np.float32(-_MASKED)))
        return graph.node("Unsqueeze", scaled, graph.constant(np.array([1, 2], dtype=np.int64)))

    def _layer(self, name: str, hidden: str, mask: str, last: bool) -> str:
        """One layer; the last one's queries, and so its outputs, are those of the first token."""
        graph, square = self.graph, (self.width, self.width)
        residual = graph.node("Slice", hidden, self.zero, self.one, self.one) if last else hidden
        query, key, value = (
            graph.linear(inputs, f"{name}.attention.self.{part}", square, rotated=True)
            for part, inputs in (("query", residual), ("key", hidden), ("value", hidden))
        )
        query, value = (self._heads(one, (0, 2, 1, 3)) for one in (query, value))
        key = self._heads(key, (0, 2, 3, 1))
        scores = graph.node("Add", graph.node("MatMul", query, key), mask)
        context = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
        context = graph.node("Transpose", context, perm=(0, 2, 1, 3))
        context = graph.node("Reshape", context, graph.constant(np.array([0, 0, self.width], dtype=np.int64)))
        attn_out = graph.linear(context, f"{name}.attention.output.dense", square)
        attn_norm = self._norm(graph.node("Add", attn_out, residual), f"{name}.attention.output.LayerNorm")
        return self._norm(graph.node("Add", self._feed_forward(attn_norm, name), attn_norm), f"{name}.output.LayerNorm")

    def _feed_forward(self, hidden: str, name: str) -> str:
        """Feed-forward layer; outlier neurons, where there are some, are added in fp32."""
        graph, up, down = self.graph, f"{name}.intermediate", f"{name}.output"
        (neurons,) = graph.shape(f"{up}.dense.bias", 1)
        inner = self._gelu(graph.linear(hidden, f"{up}.dense", (self.width, neurons), rotated=True))
        ffn_down = graph.linear(inner, f"{down}.dense", (neurons, self.width), gelu=True)
        if f"{up}.outliers.bias" not in graph.constants:
            return ffn_down
        (outliers,) = graph.shape(f"{up}.outliers.bias", 1)
        inner = self._gelu(graph.linear(hidden, f"{up}.outliers", (self.width, outliers)))
        return graph.node("Add", ffn_down, graph.linear(inner, f"{down}.outliers", (outliers, self.width)))

    def _gelu(self, inputs: str) -> str:
        return self.graph.node("Gelu", inputs, approximate=GELUS[self.settings.activation])

    def _heads(self, projected: str, order: Sequence[int]) -> str:
        """Split (pairs, tokens, width) into heads and transpose (pairs, tokens, heads, head width) to `order`."""
        shape = self.graph.constant(np.array([0, 0, self.heads, self.width // self.heads], dtype=np.int64))
        return self.graph.node("Transpose", self.graph.node("Reshape", projected, shape), perm=tuple(order))

    def _norm(self, hidden: str, name: str) -> str:
        weight, bias = (self.graph.named(f"{name}.{part}", np.float32, self.width) for part in ("weight", "bias"))
        return self.graph.node("LayerNormalization", hidden, weight, bias, axis=-1, epsilon=self.settings.epsilon)
