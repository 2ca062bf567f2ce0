"""Structured pruning of an encoder: fewer neurons in each feed-forward, fewer word pieces (docs/speed.md).

Pruning comes before stage 1; the two stages then recover the accuracy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedModel

from tmkd.data.text import TOKENIZER, PairTokenizer
from tmkd.data.token_store import MappedTokens
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.network.encoder import bottom_layers, quiet, represent
from tmkd.network.first_token import reads_first_token
from tmkd.network.layer_inputs import layer_inputs
from tmkd.network.opening import check_vocabulary
from tmkd.network.prune_vocabulary import cut_tokenizer, kept_pieces
from tmkd.network.same_ids import check_ids
from tmkd.network.scoring import batched_logits
from tmkd.network.student import TOKENIZER_FILES
from tmkd.recipe.parts import StudentSpec
from tmkd.store import json_bytes, write_atomic

SAMPLE = 2048  # pairs on which neurons' outputs are measured
_COUNTED = 1 << 20  # token ids that are counted at once


def write_pruned(base: Path, student: StudentSpec, used: TokenIds | MappedTokens, folder: Path) -> dict[str, int]:
    """Write the bottom layers of the encoder in `base`, pruned to the sizes of `student`, as a pretrained folder.

    Neurons and word pieces are chosen by their use in `used`, pairs by the encoder's own tokenizer. Returns the counts
    of word pieces and parameters that remain.
    Raises: TmkdError as `bottom_layers`, or for an encoder or tokenizer of another kind.
    """
    encoder = bottom_layers(base, student.layers, student.pool)
    encoder.train(False)
    tokenizer = PairTokenizer.load(base, student.max_length)
    check_ids(base, tokenizer, str(base))
    check_vocabulary(encoder, tokenizer, str(base))
    check_sizes(encoder, tokenizer.tokenizer, student)
    if student.ffn is not None:
        pairs = len(used.lengths)
        some = np.unique(np.linspace(0, pairs - 1, min(SAMPLE, pairs)).astype(np.int64))
        prune_ffn(encoder, student, used.take(some), tokenizer.settings.pad_id)
    words = tokenizer.tokenizer
    if student.vocabulary is not None:
        size = int(encoder.get_input_embeddings().num_embeddings)  # type: ignore[union-attr]
        kept = kept_pieces(words, _counts(used.flat_ids, size), student.vocabulary)
        words = cut_tokenizer(words, kept)
        _cut_embeddings(encoder, kept)
    with quiet():
        encoder.config._name_or_path = ""
        encoder.save_pretrained(folder)
    write_atomic(folder / TOKENIZER, words.to_str(pretty=True).encode())
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            config = json.loads((base / name).read_bytes())
            config.pop("added_tokens_decoder", None)  # has the old ids; tokenizer.json has the new ones
            write_atomic(folder / name, json_bytes(config))
    return {"word_pieces": words.get_vocab_size(), "parameters": encoder.num_parameters()}


def _counts(flat_ids: np.ndarray, size: int) -> np.ndarray:
    """Frequencies of the token ids below `size`, int64, of ids that may be mapped from disk."""
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(flat_ids), _COUNTED):
        counts += np.bincount(flat_ids[start : start + _COUNTED], minlength=size)
    return counts


def check_sizes(encoder: PreTrainedModel, tokenizer: Tokenizer, student: StudentSpec) -> None:
    """Compare a student's sizes with an encoder and its tokenizer.

    Raises: TmkdError for neurons of an encoder that is not built as BERT or has no more of them, or as `kept_pieces`.
    """
    config = encoder.config
    if student.ffn is not None and not reads_first_token(encoder):
        raise TmkdError(f"student.ffn: a {config.model_type} cannot be pruned; encoders built as BERT can")
    if student.ffn is not None and student.ffn >= config.intermediate_size:
        raise TmkdError(f"student.ffn is {student.ffn}; the encoder has {config.intermediate_size}: set it to fewer")
    if student.vocabulary is not None:
        unused = np.zeros(max(tokenizer.get_vocab().values()) + 1, dtype=np.int64)
        kept_pieces(tokenizer, unused, student.vocabulary)


def prune_ffn(encoder: PreTrainedModel, student: StudentSpec, tokens: TokenIds, pad_id: int) -> None:
    """Keep the `student.ffn` neurons of each feed-forward that contribute most to its output on these pairs, in place.

    Neuron j's contribution is its mean square output times its squared outgoing weights, E[a_j²] · ‖W_j‖².
    """
    config, neurons = encoder.config, int(student.ffn or 0)
    layers: Any = encoder.encoder.layer
    denses = {str(number): layer.output.dense for number, layer in enumerate(layers)}
    squares = {name: torch.zeros(config.intermediate_size, dtype=torch.float64) for name in denses}
    with layer_inputs(denses, lambda name, inputs: squares[name].add_(inputs.square().sum(dim=0))):
        batched_logits(
            lambda inputs: represent(
                encoder, student.pool, inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
            ),
            tokens,
            pad_id,
            "cpu",
            "fp32",
        )
    for layer, square in zip(layers, squares.values(), strict=True):
        contribution = square * layer.output.dense.weight.detach().double().square().sum(dim=0)
        kept = contribution.topk(neurons).indices.sort().values
        layer.intermediate.dense = _linear(layer.intermediate.dense, kept, None)
        layer.output.dense = _linear(layer.output.dense, None, kept)
    config.intermediate_size = neurons


def _linear(old: nn.Linear, rows: Tensor | None, columns: Tensor | None) -> nn.Linear:
    """Layer with only these outputs (rows) and inputs (columns) of the old one; None keeps all."""
    weight, bias = old.weight.detach(), old.bias.detach()
    if rows is not None:
        weight, bias = weight[rows], bias[rows]
    if columns is not None:
        weight = weight[:, columns]
    new = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        new.weight.copy_(weight)
        new.bias.copy_(bias)
    return new


def _cut_embeddings(encoder: PreTrainedModel, kept: np.ndarray) -> None:
    """Keep these word pieces' embeddings, and renumber the configuration's special tokens."""
    config: Any = encoder.config
    new = {int(old): place for place, old in enumerate(kept)}
    for name, old in config.to_dict().items():
        if name.endswith("_token_id") and isinstance(old, int) and old in new:
            setattr(config, name, new[old])
    vectors: Any = encoder.get_input_embeddings()
    cut = nn.Embedding(len(kept), vectors.embedding_dim, padding_idx=new.get(vectors.padding_idx))
    with torch.no_grad():
        cut.weight.copy_(vectors.weight[torch.from_numpy(kept)])
    encoder.set_input_embeddings(cut)
    config.vocab_size = len(kept)
