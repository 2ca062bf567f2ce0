"""Constants of a BERT encoder in its graph (`tmkd.bundle.bert_graph`): weights folded, outlier neurons apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from transformers import PreTrainedModel

from tmkd.bundle.bert_graph import GELUS
from tmkd.bundle.graph import Constants, hadamard
from tmkd.errors import TmkdError
from tmkd.export.onnx_graph import array, embedding_constants, linear_constants
from tmkd.export.quantize import QuantisedWeight
from tmkd.network.encoder import Pool


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


def bert_settings(encoder: PreTrainedModel) -> dict[str, str]:
    """Metadata of a BERT's graph.  Raises: TmkdError for an activation without an ONNX operator."""
    config: _Config = encoder.config
    if config.hidden_act not in GELUS:
        raise TmkdError(
            f"a student whose activation is {config.hidden_act} has no ONNX export; {', '.join(GELUS)} have"
        )
    settings = {
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "epsilon": float(config.layer_norm_eps),
        "activation": config.hidden_act,
    }
    return {name: str(value) for name, value in settings.items()}


def bert_constants(
    encoder: PreTrainedModel, pool: Pool, quantised: Mapping[str, QuantisedWeight], int8: bool
) -> Constants:
    """Constants of a BERT's graph. The linear layers named in `quantised` are int8, with `int8` the words as well."""
    config: _Config = encoder.config
    weights = {name: array(tensor) for name, tensor in encoder.state_dict().items()}
    tables = {name: weights[f"embeddings.{kind}_embeddings.weight"] for name, kind in _TABLES.items()}
    constants = embedding_constants("words", tables.pop("words"), int8) | tables
    if any(weight.rotated for weight in quantised.values()):
        constants["hadamard"] = hadamard()
    norms = ["embeddings.LayerNorm"]
    for layer in range(config.num_hidden_layers):
        name = f"encoder.layer.{layer}"
        constants |= _attention(name, weights, quantised, (config.hidden_size / config.num_attention_heads) ** -0.5)
        constants |= _feed_forward(name, weights, quantised)
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
    for name in norms:
        constants |= {f"{name}.{part}": weights[f"{name}.{part}"] for part in ("weight", "bias")}
    if pool == "pooler":
        constants |= linear_constants("pooler", weights["pooler.dense.weight"], weights["pooler.dense.bias"])
    return constants


_TABLES = {"words": "word", "positions": "position", "types": "token_type"}


def _attention(
    name: str, weights: Mapping[str, np.ndarray], quantised: Mapping[str, QuantisedWeight], scale: float
) -> Constants:
    """Attention's linear layers; `scale` of the scores is folded into the query.

    A key's bias adds the same to all scores of a query, so it does not change their softmax and is left out. The
    attention weights add up to 1, so a value's bias reaches the context unchanged: attn_out's bias includes it.
    """
    query, key, value = (f"{name}.attention.self.{part}" for part in ("query", "key", "value"))
    attn_out, factor = f"{name}.attention.output.dense", np.float32(scale)
    weight, its_int8 = _weight(query, weights, quantised)
    its_int8 = its_int8 and its_int8._replace(scales=its_int8.scales * factor)
    constants = linear_constants(query, weight * factor, weights[f"{query}.bias"] * factor, its_int8)
    for layer in (key, value):
        weight, its_int8 = _weight(layer, weights, quantised)
        constants |= linear_constants(layer, weight, None, its_int8)
    weight, its_int8 = _weight(attn_out, weights, quantised)
    bias = weights[f"{attn_out}.bias"] + weight @ weights[f"{value}.bias"]
    return constants | linear_constants(attn_out, weight, bias, its_int8)


def _feed_forward(name: str, weights: Mapping[str, np.ndarray], quantised: Mapping[str, QuantisedWeight]) -> Constants:
    """Feed-forward layers; outlier neurons, whose codes are all 0, apart in fp32."""
    up, down = f"{name}.intermediate", f"{name}.output"
    up_weight, up_int8 = _weight(f"{up}.dense", weights, quantised)
    down_weight, down_int8 = _weight(f"{down}.dense", weights, quantised)
    up_bias = weights[f"{up}.dense.bias"]
    outliers = np.zeros(len(up_bias), dtype=bool) if down_int8 is None else ~down_int8.codes.any(axis=0)
    constants = linear_constants(f"{up}.dense", up_weight, np.where(outliers, np.float32(0), up_bias), up_int8)
    constants |= linear_constants(f"{down}.dense", down_weight, weights[f"{down}.dense.bias"], down_int8)
    if outliers.any():
        up_weight, down_weight = (weights[f"{part}.dense.weight"] for part in (up, down))
        constants |= linear_constants(f"{up}.outliers", up_weight[outliers], up_bias[outliers])
        constants |= linear_constants(f"{down}.outliers", down_weight[:, outliers], None)
    return constants


def _weight(
    name: str, weights: Mapping[str, np.ndarray], quantised: Mapping[str, QuantisedWeight]
) -> tuple[np.ndarray, QuantisedWeight | None]:
    """A linear layer's weight (out, in), dequantised if it is int8, and its int8 weight."""
    its_int8 = quantised.get(name)
    return weights[f"{name}.weight"] if its_int8 is None else its_int8.matrix, its_int8
