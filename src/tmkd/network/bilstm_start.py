"""Start of a Bi-LSTM student: a file of word vectors → a folder like a pretrained encoder's (§4.4)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tmkd.data.text import TOKENIZER
from tmkd.data.word_vectors import Vector, read_vectors
from tmkd.errors import TmkdError
from tmkd.network.bilstm import FIRST, PAD, SEPARATOR, SPECIALS, UNKNOWN, BiLSTM, BiLSTMConfig
from tmkd.network.encoder import quiet
from tmkd.store import json_bytes, write_atomic


def write_start(vectors: Path, folder: Path, most: int, layers: int, seed: int) -> int:
    """Write a Bi-LSTM of `layers` with these word vectors and random LSTMs; returns the size of its vocabulary.

    It takes the file's first `most` words (files begin with the most frequent) in the tokenizer's normal form, lower
    case; of several spellings of a word, the first. [UNK] starts as the mean of all words.
    Raises: TmkdError as `read_vectors`, or when the folder exists or no word can be used.
    """
    if folder.exists():
        raise TmkdError(f"{folder} exists already; name a new folder")
    splitter = word_tokenizer(SPECIALS)
    found: dict[str, Vector] = {}
    for word, vector in itertools.islice(read_vectors(vectors), most):
        parts = splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(word))
        if len(parts) == 1:  # a word that the tokenizer splits is never looked up
            found.setdefault(parts[0][0], vector)
    if not found:
        raise TmkdError(f"{vectors}: none of its words can be used")
    table = np.stack(list(found.values()))
    words = (*SPECIALS, *found)
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        model = BiLSTM(BiLSTMConfig(vocab_size=len(words), embedding_size=table.shape[1], num_hidden_layers=layers))
        with torch.no_grad():
            model.embeddings.weight[len(SPECIALS) :] = torch.from_numpy(table)
            model.embeddings.weight[: len(SPECIALS)] = torch.from_numpy(table.mean(axis=0))
            model.embeddings.weight[SPECIALS.index(PAD)] = 0
        folder.mkdir(parents=True)
        model.save_pretrained(folder)
    names = {"unk_token": UNKNOWN, "pad_token": PAD, "cls_token": FIRST, "sep_token": SEPARATOR}
    write_atomic(folder / TOKENIZER, word_tokenizer(words).to_str(pretty=True).encode())
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    write_atomic(folder / "tokenizer_config.json", json_bytes(config))
    return len(found)


def word_tokenizer(words: Iterable[str]) -> Tokenizer:
    """Tokenizer of lower-case words and single punctuation marks: [CLS] question [SEP] passage [SEP], types 0 and 1.

    `words` have the ids 0, 1, …; they begin with SPECIALS.
    """
    ids = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing((SEPARATOR, ids[SEPARATOR]), (FIRST, ids[FIRST]))
    return tokenizer
