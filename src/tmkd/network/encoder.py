"""Encoder of a student: the bottom n layers of a pretrained one (§3.1.1 step 3)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.network.first_token import first_token_state, reads_first_token
from tmkd.network.opening import check_weights, longest_pair, refuse_padding, refusing
from tmkd.network.scoring import batched_logits

Pool = Literal["pooler", "first"]
# The backward pass of fused attention took half of all training time on CPUs.
ATTENTION = "eager"
_NOT_THE_ENCODERS = ("_name_or_path", "architectures", "dtype", "transformers_version", "id2label", "label2id")


def bottom_layers(folder: Path, layers: int, pool: Pool) -> PreTrainedModel:
    """Load the embeddings and bottom `layers` layers of a pretrained encoder, and its pooler if `pool` needs it.

    Weights are float32. Only safetensors are read and no code of the folder is run.
    Raises: TmkdError when the folder cannot be opened, has fewer layers, or lacks weights or the pooler.
    """
    return _pooled(open_encoder(folder, layers), pool, str(folder))


def open_encoder(folder: Path, layers: int | None = None) -> PreTrainedModel:
    """Load a pretrained encoder whole, or its embeddings and bottom `layers` layers, weights float32.

    Only safetensors are read and no code of the folder is run. It may come without its pooler.
    Raises: TmkdError when the folder cannot be opened, has fewer layers, or lacks weights.
    """
    with refusing(f"{folder}: cannot be opened as an encoder"), quiet():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        if layers is not None:
            _shorten(config, layers, folder)
        encoder, loaded = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            attn_implementation=ATTENTION,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # told below, by name
            output_loading_info=True,
        )
    _check_whole(encoder, loaded, folder, layers)
    opened: PreTrainedModel = encoder
    return opened


def _check_whole(encoder: PreTrainedModel, loaded: dict[str, Any], folder: Path, layers: int | None) -> None:
    """Refuse an encoder of which a weight is missing or left over: a pooler, heads and layers left out apart.

    `loaded` is transformers' loading info. Raises: TmkdError naming the weight.
    """
    parts = {name for name, _ in encoder.named_children()}
    prefix = f"{encoder.base_model_prefix}."
    body = [key for key in loaded["unexpected_keys"] if key.removeprefix(prefix).partition(".")[0] in parts]
    missing = [key for key in loaded["missing_keys"] if not key.startswith("pooler.")]
    check_weights(encoder, {**loaded, "missing_keys": missing, "unexpected_keys": body}, str(folder), layers=layers)


def fresh_pooler(encoder: nn.Module, seed: int) -> None:
    """Initialise an encoder's pooler again (Xavier uniform, bias 0).

    A sentence encoder trained with mean pooling keeps its near-zero initial pooler, where gradients vanish.
    Raises: TmkdError when the encoder has no pooler with a dense layer.
    """
    pooler = getattr(encoder, "pooler", None)
    dense = getattr(pooler, "dense", pooler)  # ALBERT's pooler is the layer itself
    if not isinstance(dense, nn.Linear):
        raise TmkdError("fresh_pooler: true, but the encoder has no pooler; leave it out")
    with torch.no_grad():
        nn.init.xavier_uniform_(dense.weight, generator=torch.Generator().manual_seed(seed))
        nn.init.zeros_(dense.bias)


def encoder_from_config(config: dict[str, Any], pool: Pool) -> PreTrainedModel:
    """Encoder of this configuration (`encoder_config`) with random weights."""
    named = AutoConfig.for_model(**config)
    return _pooled(AutoModel.from_config(named, attn_implementation=ATTENTION), pool, config["model_type"])


def encoder_config(encoder: PreTrainedModel) -> dict[str, Any]:
    """Configuration that rebuilds the encoder's architecture, without paths, versions and classes."""
    config = encoder.config.to_dict()
    return {key: value for key, value in config.items() if key not in _NOT_THE_ENCODERS}


def represent(
    encoder: PreTrainedModel, pool: Pool, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
) -> Tensor:
    """h1 of Eq. 1 and 3: the pooler's output, or the first token's last hidden state.

    All inputs int64 (pairs, longest) → (pairs, width). Token types are passed only to an encoder that has several.
    """
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if token_type_ids is not None and getattr(encoder.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = token_type_ids
    if reads_first_token(encoder):
        first = first_token_state(encoder, **inputs)
        pooled: Tensor = encoder.pooler(first) if pool == "pooler" else first[:, 0]
        return pooled
    output = encoder(**inputs)
    vector: Tensor = output.pooler_output if pool == "pooler" else output.last_hidden_state[:, 0]
    return vector


def require_positions(encoder: PreTrainedModel, max_length: int, folder: Path) -> None:
    """Raise TmkdError when an encoder has positions for fewer than `max_length` token ids."""
    positions = longest_pair(encoder, max_length)
    if positions < max_length:
        raise TmkdError(
            f"{folder}: has positions for {positions} token ids; set student.max_length to {positions} or fewer"
        )


def check_body(encoder: PreTrainedModel, pool: Pool, tokenizer: PairTokenizer, folder: Path) -> None:
    """Represent made-up pairs.  Raises: TmkdError when the encoder fails on them, or reads the padding behind them."""

    def vectors(questions: Sequence[str], passages: Sequence[str]) -> np.ndarray:
        tokens, pad_id = tokenizer.encode(questions, passages), tokenizer.settings.pad_id
        return batched_logits(lambda inputs: represent(encoder, pool, **inputs), tokens, pad_id, "cpu", "fp32")

    refuse_padding(vectors, tokenizer.settings.max_length, f"{folder}: cannot be a student's encoder")


def _shorten(config: PreTrainedConfig, layers: int, folder: Path) -> None:
    own = getattr(config, "num_hidden_layers", None)
    if own is None:
        raise TmkdError(f"{folder}: a {config.model_type} has no layers to take from")
    if getattr(config, "is_encoder_decoder", False):
        raise TmkdError(f"{folder}: a {config.model_type} has no encoder alone; take an encoder such as BERT as base")
    if layers > own:
        raise TmkdError(
            f"{folder}: has {own} layers, the student asks for {layers}; set student.layers to {own} or fewer"
        )
    config.num_hidden_layers = layers
    for key, value in config.to_dict().items():  # attention_window, layer_types, …: an entry per layer
        if isinstance(value, list) and len(value) == own and key != "pos_att_type":  # DeBERTa's kinds of attention
            setattr(config, key, value[:layers])


def _pooled(encoder: PreTrainedModel, pool: Pool, name: str) -> PreTrainedModel:
    """Check that the pooler exists if `pool` needs it, and remove an unused one."""
    if pool == "pooler" and getattr(encoder, "pooler", None) is None:
        raise TmkdError(f"{name}: this encoder has no pooler; set student.pool: first")
    if pool == "first" and "add_pooling_layer" in inspect.signature(type(encoder).__init__).parameters:
        encoder.register_module("pooler", None)
    return encoder


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers while it loads or saves: no warning about dropped layers, no progress bar."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
