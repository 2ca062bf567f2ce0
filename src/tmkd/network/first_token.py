"""An encoder whose last layer computes only the first token: nothing else of it is read, so nothing else is computed.

Keys and values of the last layer are still those of all tokens; query, output and feed-forward are one token's. Three
layers then cost about 2.2, six about 5.2, and the answer is the same. Training on a CPU leaves the padding out, too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tmkd.network.packing import Packing

# Families whose layers are built as BERT's, under the same names.
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert")


def reads_first_token(encoder: nn.Module) -> bool:
    """True for an encoder that `first_token_state` knows: BERT's family, no decoder, attention as BERT's own."""
    config: Any = encoder.config
    plain = getattr(config, "position_embedding_type", None) in (None, "absolute")
    plain = plain and not getattr(config, "is_decoder", False)
    plain = plain and getattr(config, "_attn_implementation", None) in (None, "eager", "sdpa")
    layers = getattr(getattr(encoder, "encoder", None), "layer", ())
    return bool(config.model_type in FAMILIES and plain and len(layers))


def first_token_state(
    encoder: nn.Module, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
) -> Tensor:
    """The last hidden state of each pair's first token.

    All inputs int64 (pairs, longest), padding behind each pair → (pairs, 1, width).
    """
    parts: Any = encoder
    hidden: Tensor = parts.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
    lowest = torch.finfo(hidden.dtype).min
    mask = (1.0 - attention_mask[:, None, None, :].to(hidden.dtype)) * lowest
    if encoder.training and hidden.device.type == "cpu":  # a GPU would wait until the tokens are counted
        return _packed(parts.encoder.layer, hidden, mask, Packing.of(attention_mask))
    *body, last = parts.encoder.layer
    for layer in body:
        output = layer(hidden, mask)
        hidden = output[0] if isinstance(output, tuple) else output  # a tuple before transformers 5
    attention, first = last.attention.self, hidden[:, :1]
    mixed = _mix(attention, attention.query(first), attention.key(hidden), attention.value(hidden), mask)
    return _rest(last, mixed, first)


def _packed(layers: Any, hidden: Tensor, mask: Tensor, packing: Packing) -> Tensor:
    """All layers, their linear maps and norms on real tokens alone; shapes as those of `first_token_state`.

    The pairs of an optimiser step differ in length, and padding would be a third of a small batch.
    """
    states = packing.pack(hidden)
    *body, last = layers
    for layer in body:
        attention = layer.attention.self
        mapped = torch.cat([attention.query(states), attention.key(states), attention.value(states)], dim=-1)
        query, key, value = packing.pad(mapped).chunk(3, dim=-1)
        mixed = _mix(attention, query, key, value, mask)
        states = _rest(layer, packing.pack(mixed), states)
    attention, first = last.attention.self, states.index_select(0, packing.firsts)[:, None]
    mapped = torch.cat([attention.key(states), attention.value(states)], dim=-1)
    key, value = packing.pad(mapped).chunk(2, dim=-1)
    mixed = _mix(attention, attention.query(first), key, value, mask)
    return _rest(last, mixed, first)


def _mix(attention: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Attention of queries (pairs, queries, width) to keys and values (pairs, longest, width) → shape of the queries.

    mask (pairs, 1, 1, longest) is added to the scores.
    """

    def heads(states: Tensor) -> Tensor:
        return states.view(*states.shape[:-1], -1, attention.attention_head_size).transpose(1, 2)

    scores = heads(query) @ heads(key).transpose(-1, -2) * attention.attention_head_size**-0.5 + mask
    mixed: Tensor = attention.dropout(scores.softmax(dim=-1)) @ heads(value)
    return mixed.transpose(1, 2).flatten(-2)


def _rest(layer: Any, mixed: Tensor, states: Tensor) -> Tensor:
    """What follows attention in a layer, for any number of leading dimensions: (…, width) twice → (…, width)."""
    attended = layer.attention.output(mixed, states)
    done: Tensor = layer.output(layer.intermediate(attended), attended)
    return done
