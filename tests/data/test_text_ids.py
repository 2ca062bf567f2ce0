from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tmkd.data.text_ids import TextIdTokenizer, special_pieces

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LETTERS = [*"▁abces</>", "▁a", "▁b"]


def unigram(added: bool = True) -> Tokenizer:
    """XLM-R's kind: the special tokens are pieces of probability 1."""
    vocabulary = [(name, 0.0) for name in SPECIALS] + [(letter, -5.0) for letter in LETTERS]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    if added:
        tokenizer.add_special_tokens(SPECIALS)
    tokenizer.encode_special_tokens = True
    return tokenizer


def word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({name: at for at, name in enumerate([*SPECIALS, "a"])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(SPECIALS)
    tokenizer.encode_special_tokens = True
    return tokenizer


def pieces(tokenizer: Tokenizer, text: str, most: int = 99, **how: Any) -> list[str]:
    (ids,) = TextIdTokenizer(tokenizer, most, **{"plain": True, **how}).first_ids([text])
    return [str(tokenizer.id_to_token(number)) for number in ids]


def test_a_special_token_that_is_a_piece_of_the_model_is_text() -> None:
    assert pieces(unigram(), "a </s> b") == ["▁a", "▁", "<", "/", "s", ">", "▁b"]
    assert pieces(unigram(), "a </s> b", plain=False) == ["▁a", "▁", "</s>", "▁b"]
    assert pieces(unigram(), "a<s>" * 3, most=4) == ["▁a", "<", "s", ">"]
    assert pieces(unigram(), "＜s＞") == ["▁", "<", "s", ">"]  # it becomes the name when it is normalised
    assert pieces(word_level(), "a </s> a") == ["a", "<unk>", "a"]


def test_ids_of_other_texts_stay_and_every_text_has_its_own() -> None:
    texts = ["a b", "a <pad>", "", "x", "c " * 400 + "<mask>"]
    now, before = (TextIdTokenizer(unigram(), 64, plain=plain).first_ids(texts) for plain in (True, False))
    assert [one == other for one, other in zip(now, before, strict=True)] == [True, False, True, True, True]


@pytest.mark.parametrize(("tokenizer", "found"), [(unigram(), {0, 1, 2, 4}), (unigram(added=False), set())])
def test_the_piece_for_unknown_words_stays(tokenizer: Tokenizer, found: set[int]) -> None:
    assert special_pieces(tokenizer) == found
    assert pieces(tokenizer, "q")[-1] == "<unk>"
