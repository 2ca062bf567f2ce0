"""An encoder whose last layer computes only the first token: nothing else of it is read, so nothing else is computed.

Keys and values of the last layer are still those of all tokens; query, output and feed-forward are one token's. Three
layers then cost about 2.2, six about 5.2, and the answer is the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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

    All inputs int64 (pairs, longest) → (pairs, 1, width).
    """
    parts: Any = encoder
    hidden: Tensor = parts.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
    lowest = torch.finfo(hidden.dtype).min
    mask = (1.0 - attention_mask[:, None, None, :].to(hidden.dtype)) * lowest
    *body, last = parts.encoder.layer
    for layer in body:
        output = layer(hidden, mask)
        hidden = output[0] if isinstance(output, tuple) else output  # a tuple before transformers 5
    return _last(last, hidden, mask)


def _last(layer: Any, hidden: Tensor, mask: Tensor) -> Tensor:
    """One layer: hidden (pairs, longest, width), mask (pairs, 1, 1, longest) → the first token's (pairs, 1, width)."""
    attention = layer.attention.self
    first = hidden[:, :1]

    def heads(states: Tensor) -> Tensor:
        return states.view(*states.shape[:-1], -1, attention.attention_head_size).transpose(1, 2)

    query, key, value = heads(attention.query(first)), heads(attention.key(hidden)), heads(attention.value(hidden))
    scores = query @ key.transpose(-1, -2) * attention.attention_head_size**-0.5 + mask
    mixed = attention.dropout(scores.softmax(dim=-1)) @ value
    attended = layer.attention.output(mixed.transpose(1, 2).flatten(-2), first)
    done: Tensor = layer.output(layer.intermediate(attended), attended)
    return done
