"""Token ids of single texts, with the special tokens of their tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tmkd.data.single_texts import TextTokenizer
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError


@pytest.fixture
def pairs(tmp_path: Path) -> PairTokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tea", "is", "a", "drink"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return PairTokenizer.load(tmp_path, 16)


def test_a_text_stands_between_the_special_tokens_of_one_text(pairs: PairTokenizer) -> None:
    tokens = TextTokenizer(pairs, 16).encode(["tea is a drink", "tea", ""])
    assert [ids.tolist() for ids in tokens.ids] == [[2, 4, 5, 6, 7, 3], [2, 4, 3], [2, 3]]
    assert tokens.flat_types.tolist() == [0] * 11


def test_the_end_of_a_long_text_is_cut(pairs: PairTokenizer) -> None:
    (ids,) = TextTokenizer(pairs, 4).encode(["tea is a drink"]).ids
    assert ids.tolist() == [2, 4, 5, 3]


def test_a_length_without_room_is_refused(pairs: PairTokenizer) -> None:
    with pytest.raises(TmkdError, match="no room beside 2 special tokens"):
        TextTokenizer(pairs, 2)
