"""Start of a Bi-LSTM student: word vectors → a folder like a pretrained encoder's (§4.4)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tmkd.data.text import TOKENIZER
from tmkd.data.word_vectors import Vector, is_spacys, read_vectors
from tmkd.errors import TmkdError
from tmkd.network.bilstm import FIRST, PAD, SEPARATOR, SPECIALS, UNKNOWN, BiLSTM, BiLSTMConfig
from tmkd.network.encoder import quiet
from tmkd.store import json_bytes, write_atomic


def write_start(
    vectors: Path, folder: Path, most: int, layers: int, seed: int, vocabulary: Sequence[str] | None = None
) -> tuple[int, int]:
    """Write a Bi-LSTM of `layers` with these word vectors and random LSTMs; returns how many words it has and
    how many of them have a vector.

    Its words are those of `vocabulary`, in the tokenizer's normal form, lower case. One without a vector is drawn from
    a normal distribution, each number with the mean and deviation that it has in the vectors found (§4.4). Without a
    vocabulary they are the first `most` of a text file, which begins with the most frequent. Of several spellings of a
    word the normal form counts, else the first. [UNK] starts as the mean of all words.
    Raises: TmkdError as `read_vectors`, or when the folder exists, no word can be used, or which words are frequent is
    not known.
    """
    if folder.exists():
        raise TmkdError(f"{folder} exists already; name a new folder")
    if vocabulary is None and is_spacys(vectors):
        raise TmkdError(
            f"{vectors}: spaCy's words are in no order of frequency; take those of your texts: --texts FILE"
        )
    wanted, split = {*(vocabulary or ())}, _splitter()
    found, exact = dict[str, Vector](), dict[str, Vector]()
    for spelling, vector in itertools.islice(read_vectors(vectors), most if vocabulary is None else None):
        parts = split(spelling)
        if len(parts) == 1 and (vocabulary is None or parts[0] in wanted):  # a word that is split is never looked up
            found.setdefault(parts[0], vector)
            if parts[0] == spelling:
                exact.setdefault(spelling, vector)
    found |= exact
    if not found:
        raise TmkdError(f"{vectors}: none of its words can be used")
    table = np.stack(list(found.values()))
    if vocabulary is not None:
        drawn = np.random.default_rng(seed).standard_normal((len(vocabulary), table.shape[1]), np.float32)
        drawn = drawn * table.std(axis=0) + table.mean(axis=0)
        table = np.stack([found.get(word, own) for word, own in zip(vocabulary, drawn, strict=True)])
    words = (*SPECIALS, *(found if vocabulary is None else vocabulary))
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
    return len(table), len(found)


def frequent_words(texts: Iterable[str], most: int) -> list[str]:
    """The `most` frequent words of texts in the tokenizer's normal form, the most frequent first."""
    split, counts = _splitter(), Counter[str]()
    for text in texts:
        counts.update(split(text))
    return [word for word, _ in counts.most_common(most)]


def _splitter() -> Callable[[str], list[str]]:
    """Function from a text to its words as the tokenizer splits them, in its normal form."""
    tokenizer = word_tokenizer(SPECIALS)
    normalise, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    return lambda text: [word for word, _ in split(normalise(text))]


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
