"""The first ids of a prefix are those of the whole text, for every kind of tokenizer."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from tmkd.data.prefixes import _ENDS, _OPENS, PrefixTokenizer

CORPUS = [
    "the moon turns around the earth in about a month, and shows always the same side to it.",
    "tea is a drink made of leaves and hot water; aa aaa aaaa aaaaa aaaaaaa abab ababab 12345 1999",
    "Café naïve coöperate résumé Ångström 月亮 是 地球 的 卫星 القمر moonlight moonmoonmoon\n\nnew  line",
]
# Pieces of texts: words, no words, what is composed, decomposed, dropped or joined over some distance.
PIECES = [
    *("the moon", " ", "   ", "\n", " \n ", "a" * 7, "ab" * 9, "e\u0301", "\u0301" * 5, "\u0327\u0301", "é", "ﬁ", "Å"),
    *(
        "月亮",
        "地球的卫星",
        "القمر",
        "\u1112\u1161\u11ab",
        "한",
        "12345",
        "1999",
        "...!",
        ". ",
        "'s",
        "'re",
        "\0",
        "\u00ad",
    ),
    *("moon" * 30, "月" * 90, "moon\u00ad" * 30, "ก็" * 60, " \t" * 60, "😀" * 50),
    *("[SEP]", "two words", "<tab>", "two", "words", "😀", "\u200d", "\ud800", "x" * 120, "Σ", "İ", "_", "▁", "  ,"),
]
TEXTS = st.lists(
    st.tuples(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), st.sampled_from([1, 1, 2, 40])), max_size=12
).map(lambda parts: "".join(piece * times for piece, times in parts))


def trained(model: Any, trainer: Any, normalizer: Any, pre_tokenizer: Any) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.add_special_tokens(["[SEP]"])
    tokenizer.add_tokens([AddedToken("two words", normalized=True), AddedToken("<tab>", rstrip=True, lstrip=True)])
    return tokenizer


def word_piece(normalizer: Any, pre_tokenizer: Any) -> Tokenizer:
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=["[UNK]"], show_progress=False)
    return trained(models.WordPiece(unk_token="[UNK]"), trainer, normalizer, pre_tokenizer)


def bpe(normalizer: Any, pre_tokenizer: Any) -> Tokenizer:
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"], show_progress=False)
    return trained(models.BPE(unk_token="<unk>", fuse_unk=True), trainer, normalizer, pre_tokenizer)


def unigram(normalizer: Any, pre_tokenizer: Any) -> Tokenizer:
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    return trained(models.Unigram(), trainer, normalizer, pre_tokenizer)


def split(pattern: str) -> Any:
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )


N, P = normalizers, pre_tokenizers
KINDS: dict[str, Callable[[], Tokenizer]] = {
    "BERT": lambda: word_piece(N.BertNormalizer(), P.BertPreTokenizer()),
    "cased BERT": lambda: word_piece(N.BertNormalizer(lowercase=False), P.BertPreTokenizer()),
    "words": lambda: word_piece(N.Sequence([N.NFD(), N.Lowercase(), N.StripAccents(), N.Strip()]), P.Whitespace()),
    "GPT-2": lambda: bpe(None, P.ByteLevel(add_prefix_space=True)),
    "Llama-3": lambda: bpe(N.NFC(), split(_OPENS + r"\p{N}{1,3}" + _ENDS)),
    "Qwen": lambda: bpe(N.NFC(), split(_OPENS + r"\p{N}" + _ENDS)),
    "Llama-2": lambda: bpe(N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None),
    "Gemma": lambda: bpe(N.Replace(" ", "▁"), P.Split(" ", "merged_with_previous")),
    "XLM-R": lambda: unigram(
        N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")]),
        P.Sequence([P.WhitespaceSplit(), P.Metaspace()]),
    ),
    "DeBERTa": lambda: unigram(N.Sequence([N.NFKC(), N.Strip()]), P.Metaspace()),
    "one word": lambda: unigram(N.NFKC(), P.Metaspace(split=False)),
    "scripts": lambda: unigram(
        N.NFKD(), P.Sequence([P.UnicodeScripts(), P.Digits(True), P.Punctuation(), P.WhitespaceSplit()])
    ),
    "looks ahead": lambda: bpe(None, P.Split(Regex(r"a(?=.*z)|."), "isolated")),
}
made: dict[tuple[str, bool], Tokenizer] = {}


def tokenizer_of(kind: str, special_is_text: bool = True) -> Tokenizer:
    """The tokenizer of a kind, trained once."""
    if (kind, special_is_text) not in made:
        made[kind, special_is_text] = KINDS[kind]()
        made[kind, special_is_text].encode_special_tokens = special_is_text
    return made[kind, special_is_text]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(1, 9), st.booleans())
@example(["a" * 5_000 + "z"], 3, True)
@example(["moon" * 5_000 + "\u0301", "x" + "moonlit" * 3_000, "z" * 9_000 + " moon" * 9], 9, True)
@example(["moon " + "月亮地球的卫星" * 3_000, "ก็" * 9_000 + "two words" * 300], 9, True)
@example(["two" * 9_000, "two words" * 3_000, "[SEP]" * 3_000, "<tab>moon" * 2_000], 9, False)
@example(["moon" + " " * 9_000 + "tea", "\0" * 9_000 + "tea", "😀 " * 9_000, "\u200d" * 9_000 + " moon"], 4, True)
@example(["moon " * 3_000 + "\u0301"], 9, True)
@example(["moon" + "." * 3_000 + "\n" * 3_000], 3, True)
@example(["x " + " " * 3_000 + "\n" + "moon " * 100], 2, True)
@example(["moon " + "\u0327" * 400 + "\u0301" * 400 + " x" * 400], 2, False)
def test_first_ids_are_those_of_the_whole_text(kind: str, texts: list[str], most: int, special_is_text: bool) -> None:
    tokenizer = tokenizer_of(kind, special_is_text)
    whole = [tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids for text in texts]
    assert PrefixTokenizer(tokenizer, most).first_ids(texts) == [ids[:most] for ids in whole]


def counted(tokenizer: Tokenizer, text: str, most: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Characters that the tokenizer is given."""
    prefixes, given = PrefixTokenizer(tokenizer, most), 0

    class Counting:
        def encode_batch(self, texts: list[str], add_special_tokens: bool) -> Any:
            nonlocal given
            given += sum(map(len, texts))
            return tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)

        def encode_batch_fast(self, texts: list[str], add_special_tokens: bool) -> Any:
            return self.encode_batch(texts, add_special_tokens)

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

    monkeypatch.setattr(prefixes, "_tokenizer", Counting())
    prefixes.first_ids([text])
    return given


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"looks ahead"}))
def test_of_a_long_text_little_is_tokenised(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(tokenizer_of(kind), "the moon shines, " * 50_000, 128, monkeypatch) == 16 * 128


def test_where_far_characters_may_matter_the_text_is_tokenised_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(tokenizer_of("looks ahead"), "the moon shines, " * 1_000, 128, monkeypatch) == 17_000


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"looks ahead"}))
@pytest.mark.parametrize("word", ["moonlit", "月亮地球的卫星是"])
def test_of_a_long_word_little_is_tokenised(kind: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = word * (400_000 // len(word))
    assert counted(tokenizer_of(kind), text, 16, monkeypatch) < 50_000


def test_a_word_of_one_letter_is_tokenised_whole_where_its_length_decides_over_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = tokenizer_of("XLM-R")
    beginnings = {tuple(tokenizer.encode("a" * length).ids[:8]) for length in range(4000, 4006)}
    assert len(beginnings) > 1
    assert counted(tokenizer, "a" * 400_000, 16, monkeypatch) > 400_000
    assert counted(tokenizer_of("GPT-2"), "a" * 400_000, 16, monkeypatch) < 50_000


def test_a_text_of_twenty_megabytes_takes_little_time_and_memory() -> None:
    prefixes, text = PrefixTokenizer(tokenizer_of("BERT"), 128), "the moon shines and " * 1_000_000
    tracemalloc.start()
    begun = time.perf_counter()
    assert len(prefixes.first_ids([text])[0]) == 128
    assert time.perf_counter() - begun < 1  # whole: twenty times as long
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
