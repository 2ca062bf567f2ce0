"""Words of any length: the cuts that keep token ids, and those that are refused."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from tmkd.data.long_words import can_cut_words, first_word_ids, shorten_unknown, words_of


def word_piece(*added: AddedToken) -> Tokenizer:
    """BERT's normalizer and pre-tokenizer, two words, and words of at most ten characters."""
    vocabulary = {"[UNK]": 0, "a": 1, "##a": 2, "moon": 3}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=10))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.add_tokens([*added])
    return tokenizer


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return found


def test_words_are_those_of_normalizer_and_pre_tokenizer() -> None:
    assert words_of(word_piece(), "Café, 月 moon") == ["cafe", ",", "月", "moon"]
    assert words_of(Tokenizer(models.BPE()), "one text") == ["one text"]


def test_the_middle_of_an_unknown_word_and_of_white_space_goes_and_the_ids_stay() -> None:
    tokenizer = word_piece()
    for text in ("a" * 9_000 + " moon", "moon " + "aé\u00adx" * 9_000, "moon" + " \n" * 9_000 + "a", "\t\r" * 9_000):
        shorter = shorten_unknown(tokenizer, text)
        assert len(shorter) < 200
        assert ids(tokenizer, shorter) == ids(tokenizer, text)


def test_words_within_the_limit_and_runs_of_marks_stay() -> None:
    tokenizer = word_piece()
    for text in ("moon aaaa " * 900, "a" + "\u0301" * 900, "\0" * 900 + "moon" + "\0" * 900, "月" * 900, "." * 900):
        assert shorten_unknown(tokenizer, text) == text


def test_nothing_is_taken_out_where_an_added_token_may_stand_in_a_word() -> None:
    text = "a" * 9_000 + "moonlight" + "a" * 9_000
    tokenizer = word_piece(AddedToken("moonlight"))
    assert shorten_unknown(tokenizer, text) == text
    assert len(ids(tokenizer, text)) == 3
    assert len(shorten_unknown(word_piece(AddedToken("<moon>")), text)) < 200
    spaced = word_piece(AddedToken("  "))
    assert shorten_unknown(spaced, "a" + " " * 9_000) == "a" + " " * 9_000


def test_another_model_keeps_its_text() -> None:
    assert shorten_unknown(Tokenizer(models.BPE()), "a" * 9_000) == "a" * 9_000


def test_a_words_first_ids_are_given_only_if_every_continuation_has_them() -> None:
    pairs = Tokenizer(models.BPE({"a": 0, "b": 1, "aa": 2}, [("a", "a")]))
    assert can_cut_words(pairs)
    assert first_word_ids(pairs, "aaaaaa", 2, longest=2) == [2, 2]
    assert first_word_ids(pairs, "aaaaaa", 3, longest=2) is None  # of five letters the third id is another one
    assert first_word_ids(pairs, "aa", 1, longest=2) is None
    scores = [("<unk>", 0.0), ("a", -3.0), ("aaa", -1.0)]
    assert first_word_ids(Tokenizer(models.Unigram(scores, 0)), "a" * 30, 2, longest=3) is None


def test_a_model_that_marks_the_end_of_a_word_or_draws_its_merges_is_left_alone() -> None:
    assert not can_cut_words(Tokenizer(models.BPE({"a</w>": 0}, [], end_of_word_suffix="</w>")))
    assert not can_cut_words(Tokenizer(models.BPE({"a": 0}, [], dropout=0.1)))
    assert not can_cut_words(word_piece())
