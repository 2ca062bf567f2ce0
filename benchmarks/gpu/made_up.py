"""Made-up models and pairs for timings: random weights, random ids, words of one piece each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification

from tmkd.data.tokens import TokenIds
from tmkd.network.encoder import quiet
from tmkd.train.batches import Examples

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LONGEST = 128
HEADERS = 3  # teachers of a student


@dataclass(frozen=True)
class Sizes:
    """Sizes of a measurement: the encoder's, pairs scored, and optimiser steps timed."""

    layers: int
    kept_layers: int
    width: int
    vocabulary: int
    scored: int
    predicted: int
    steps: int
    small_steps: int
    matmul: int


REAL = Sizes(6, 3, 384, 30_522, scored=131_072, predicted=8192, steps=40, small_steps=100, matmul=8192)
TINY = Sizes(2, 1, 32, 200, scored=64, predicted=32, steps=2, small_steps=2, matmul=64)


def write_teacher(sizes: Sizes, folder: Path) -> Path:
    """Write a BERT classifier of two classes with random weights, and a tokenizer of made-up words."""
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=max(sizes.width // 32, 1),
        intermediate_size=4 * sizes.width,
        pad_token_id=0,
    )
    with quiet():
        BertForSequenceClassification(config).save_pretrained(folder)
    words = [*SPECIALS, *(f"w{number}" for number in range(sizes.vocabulary - len(SPECIALS)))]
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LONGEST, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return folder


def texts(sizes: Sizes, pairs: int, lengths: np.ndarray, seed: int) -> tuple[list[str], list[str]]:
    """Questions of 6 words and passages: distinct pairs of so many token ids each, the three special ones included."""
    draws = np.random.default_rng(seed)
    words = [draws.integers(sizes.vocabulary - len(SPECIALS), size=ids - 3).tolist() for ids in lengths.tolist()]
    lines = [[f"w{number}" for number in row] for row in words]
    return [" ".join(line[:6]) for line in lines], [" ".join(line[6:]) for line in lines]


def same_lengths(sizes: Sizes, pairs: int, ids: int, seed: int) -> TokenIds:
    """Pairs of one length."""
    return _tokens(sizes, np.full(pairs, ids), seed)


def mixed_lengths(sizes: Sizes, pairs: int, seed: int) -> TokenIds:
    """Pairs as long as questions and passages of the web are."""
    return _tokens(sizes, web_lengths(pairs, seed), seed)


def web_lengths(pairs: int, seed: int) -> np.ndarray:
    """Token ids of pairs of the web, int64 (pairs,): 16 to 128, 60 in the mean."""
    return np.random.default_rng(seed).normal(60, 22, size=pairs).round().astype(np.int64).clip(16, LONGEST)


def _tokens(sizes: Sizes, lengths: np.ndarray, seed: int) -> TokenIds:
    ids = np.random.default_rng(seed).integers(len(SPECIALS), sizes.vocabulary, size=lengths.sum(), dtype=np.int32)
    place = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return TokenIds(ids, (place > 8).astype(np.int32), lengths.astype(np.int64))


def examples(tokens: TokenIds, seed: int) -> Examples:
    """Pairs with random labels and the random logits of three teachers."""
    draws, pairs = np.random.default_rng(seed), len(tokens.lengths)
    soft = draws.normal(size=(pairs, HEADERS, 2)).astype(np.float32)
    return Examples(tokens, draws.integers(2, size=pairs), 0, soft)
