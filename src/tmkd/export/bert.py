"""ONNX nodes of a BERT encoder; of its last layer only the first token is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import onnx
from transformers import PreTrainedModel

from tmkd.errors import TmkdError
from tmkd.export.onnx_graph import INPUTS, Graph, array
from tmkd.export.quantize import QuantisedWeight
from tmkd.network.encoder import Pool

_MASKED = -10_000.0  # added to the attention scores of padding: e^−10000 is 0, and no product with it can be NaN
_GELUS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


class _Config(Protocol):
    """The fields of transformers' BertConfig that a graph depends on."""

    hidden_act: str
    hidden_size: int
    layer_norm_eps: float
    num_attention_heads: int
    num_hidden_layers: int


def int8_layers(layers: int) -> list[str]:
    """Names of the linear layers that are int8 in the int8 graph of a BERT with so many layers.

    Of the last layer these are key and value: the others compute one token a pair, cheap enough in fp32.
    """
    last = ("attention.self.key", "attention.self.value")
    whole = (*last, "attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense")
    return [
        f"encoder.layer.{layer}.{part}" for layer in range(layers) for part in (last if layer == layers - 1 else whole)
    ]


def bert_vector(graph: Graph, encoder: PreTrainedModel, pool: Pool, quantised: Mapping[str, QuantisedWeight]) -> str:
    """Compute h1 from INPUTS: the pooler's output, or the first token's last hidden state, (pairs, width).

    The linear layers named in `quantised` are int8.
    Raises: TmkdError for an activation without an ONNX operator.
    """
    config: _Config = encoder.config
    if config.hidden_act not in _GELUS:
        raise TmkdError(
            f"a student whose activation is {config.hidden_act} has no ONNX export; {', '.join(_GELUS)} have"
        )
    weights = {name: array(tensor) for name, tensor in encoder.state_dict().items()}
    body = _Bert(graph, config, weights, quantised)
    first = body.first_token()
    if pool == "first":
        return first
    weight, bias = (body.weights[f"pooler.dense.{part}"] for part in ("weight", "bias"))
    return graph.node("Tanh", graph.linear(first, weight, bias, "pooler"))


class _Bert:
    """Writer of one BERT's embeddings and layers into a graph. Hidden states are (pairs, longest, width)."""

    def __init__(
        self,
        graph: Graph,
        config: _Config,
        weights: Mapping[str, np.ndarray],
        quantised: Mapping[str, QuantisedWeight],
    ) -> None:
        self.graph, self.config, self.weights, self.quantised = graph, config, weights, quantised
        self.width, self.heads = config.hidden_size, config.num_attention_heads
        self.zero, self.one = (graph.constant(np.array([place], dtype=np.int64)) for place in (0, 1))

    def first_token(self) -> str:
        """Last hidden state of each pair's first token, (pairs, width)."""
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
        segments = graph.node("Gather", graph.constant(types, "types"), INPUTS[2])
        summed = graph.node("Add", graph.embedding(words, INPUTS[0], "words"), segments)
        return self._norm(graph.node("Add", summed, places), "embeddings.LayerNorm")

    def _mask(self) -> str:
        """Attention mask to add to scores, (pairs, 1, 1, longest): 0 for tokens, _MASKED for padding."""
        graph = self.graph
        real = graph.node("Cast", INPUTS[1], to=onnx.TensorProto.FLOAT)
        absent = graph.node("Sub", real, graph.constant(np.float32(1)))
        scaled = graph.node("Mul", absent, graph.constant(np.float32(-_MASKED)))
        return graph.node("Unsqueeze", scaled, graph.constant(np.array([1, 2], dtype=np.int64)))

    def _layer(self, name: str, hidden: str, mask: str, last: bool) -> str:
        """One layer; the last one's queries, and so its outputs, are those of the first token.

        A key's bias adds the same to all scores of a query, so it does not change their softmax and is left out. The
        attention weights add up to 1, so a value's bias reaches the context unchanged: attn_out's bias includes it.
        """
        graph, attention = self.graph, f"{name}.attention.self"
        residual = graph.node("Slice", hidden, self.zero, self.one, self.one) if last else hidden
        scale = np.float32((self.width / self.heads) ** -0.5)
        weight, bias, quantised = self._weight(f"{attention}.query")
        quantised = quantised and quantised._replace(scales=quantised.scales * scale)
        query = graph.linear(residual, weight * scale, bias * scale, f"{attention}.query", quantised)
        weight, _, quantised = self._weight(f"{attention}.key")
        key = graph.linear(hidden, weight, None, f"{attention}.key", quantised)
        weight, value_bias, quantised = self._weight(f"{attention}.value")
        value = graph.linear(hidden, weight, None, f"{attention}.value", quantised)
        query, value = (self._heads(one, (0, 2, 1, 3)) for one in (query, value))
        key = self._heads(key, (0, 2, 3, 1))
        scores = graph.node("Add", graph.node("MatMul", query, key), mask)
        context = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
        context = graph.node("Transpose", context, perm=(0, 2, 1, 3))
        context = graph.node("Reshape", context, graph.constant(np.array([0, 0, self.width], dtype=np.int64)))
        output = f"{name}.attention.output.dense"
        weight, bias, quantised = self._weight(output)
        attn_out = graph.linear(context, weight, bias + weight @ value_bias, output, quantised)
        attn_norm = self._norm(graph.node("Add", attn_out, residual), f"{name}.attention.output.LayerNorm")
        return self._norm(graph.node("Add", self._feed_forward(attn_norm, name), attn_norm), f"{name}.output.LayerNorm")

    def _feed_forward(self, hidden: str, name: str) -> str:
        """Feed-forward layer; outlier neurons, whose codes are all 0, are added in fp32."""
        up, down = f"{name}.intermediate", f"{name}.output"
        up_weight, up_bias, up_quantised = self._weight(f"{up}.dense")
        down_weight, down_bias, down_quantised = self._weight(f"{down}.dense")
        outliers = np.zeros(len(up_bias), dtype=bool) if down_quantised is None else ~down_quantised.codes.any(axis=0)
        int8_bias = np.where(outliers, 0, up_bias)
        neurons = self._gelu(self.graph.linear(hidden, up_weight, int8_bias, f"{up}.dense", up_quantised))
        ffn_down = self.graph.linear(neurons, down_weight, down_bias, f"{down}.dense", down_quantised, after_gelu=True)
        if not outliers.any():
            return ffn_down
        up_weight, down_weight = (self.weights[f"{part}.dense.weight"] for part in (up, down))
        neurons = self._gelu(self.graph.linear(hidden, up_weight[outliers], up_bias[outliers], f"{up}.loud"))
        return self.graph.node(
            "Add", ffn_down, self.graph.linear(neurons, down_weight[:, outliers], None, f"{down}.loud")
        )

    def _gelu(self, inputs: str) -> str:
        return self.graph.node("Gelu", inputs, approximate=_GELUS[self.config.hidden_act])

    def _heads(self, projected: str, order: Sequence[int]) -> str:
        """Split (pairs, tokens, width) into heads and transpose (pairs, tokens, heads, head width) to `order`."""
        shape = self.graph.constant(np.array([0, 0, self.heads, self.width // self.heads], dtype=np.int64))
        return self.graph.node("Transpose", self.graph.node("Reshape", projected, shape), perm=tuple(order))

    def _weight(self, name: str) -> tuple[np.ndarray, np.ndarray, QuantisedWeight | None]:
        """A linear layer's weight (out, in), dequantised if it is int8, its bias (out,), and its int8 weight."""
        quantised = self.quantised.get(name)
        weight = self.weights[f"{name}.weight"] if quantised is None else quantised.matrix
        return weight, self.weights[f"{name}.bias"], quantised

    def _norm(self, hidden: str, name: str) -> str:
        weight, bias = (
            self.graph.constant(self.weights[f"{name}.{part}"], f"{name}.{part}") for part in ("weight", "bias")
        )
        return self.graph.node(
            "LayerNormalization", hidden, weight, bias, axis=-1, epsilon=float(self.config.layer_norm_eps)
        )
