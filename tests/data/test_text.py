"""Pairs as token ids: layout, truncation, padding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, Whitespace
from tokenizers.processors import RobertaProcessing, TemplateProcessing

from tmkd.data.prefixes import PrefixTokenizer
from tmkd.data.text import TEXT_RULES, PairTokenizer, TextSettings
from tmkd.errors import TmkdError

# a=0 … j=9, then the special ones
VOCABULARY = {
    **{letter: place for place, letter in enumerate("abcdefghij")},
    "[UNK]": 10,
    "[CLS]": 11,
    "[SEP]": 12,
    "[PAD]": 13,
}


def words() -> Tokenizer:
    """A tokenizer whose tokens are letters between spaces, with nothing around the texts."""
    tokenizer = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def bert() -> Tokenizer:
    tokenizer = words()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 11), ("[SEP]", 12)],
    )
    return tokenizer


def roberta() -> Tokenizer:
    tokenizer = words()
    tokenizer.post_processor = RobertaProcessing(("[SEP]", 12), ("[CLS]", 11))
    return tokenizer


def gpt() -> Tokenizer:
    """Bytes as tokens, as GPT-2 without its merges: no unknown token, no special ones."""
    tokenizer = Tokenizer(BPE({symbol: place for place, symbol in enumerate(sorted(ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return tokenizer


def made(
    tokenizer: Tokenizer, max_length: int = 16, type_ids: bool = True, separator_id: int | None = None
) -> PairTokenizer:
    return PairTokenizer(tokenizer, TextSettings(max_length, 13, type_ids, separator_id))


def one(tokenizer: PairTokenizer, question: str, passage: str) -> tuple[list[int], list[int]]:
    tokens = tokenizer.encode([question], [passage])
    return tokens.ids[0].tolist(), tokens.types[0].tolist()


def folder_of(folder: Path, tokenizer: Tokenizer, **files: Any) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def test_bert_marks_its_texts_by_special_tokens_and_types() -> None:
    assert one(made(bert()), "a b", "c d e") == ([11, 0, 1, 12, 2, 3, 4, 12], [0, 0, 0, 0, 1, 1, 1, 1])


def test_roberta_has_two_separators_and_no_types() -> None:
    assert one(made(roberta()), "a b", "c") == ([11, 0, 1, 12, 12, 2, 12], [0] * 7)


def test_types_are_zero_for_a_model_without_them() -> None:
    assert one(made(bert(), type_ids=False), "a", "b")[1] == [0] * 5


def test_a_separator_goes_where_the_tokenizer_puts_nothing() -> None:
    assert one(made(words(), separator_id=12), "a b", "c")[0] == [0, 1, 12, 2]
    assert one(made(words()), "a b", "c")[0] == [0, 1, 2]
    assert one(made(bert(), separator_id=13), "a", "b")[0] == [11, 0, 12, 1, 12]


def test_the_passage_is_cut_first() -> None:
    # Three specials leave five places: two for the question, three for the passage.
    assert one(made(bert(), 8), "a b", "c d e f g")[0] == [11, 0, 1, 12, 2, 3, 4, 12]


def test_question_alone_too_long_gives_way() -> None:
    assert one(made(bert(), 8), "a b c d e f g", "h i j")[0] == [11, 0, 1, 2, 3, 12, 7, 12]
    assert one(made(bert(), 8), "a b c d e f g", "")[0] == [11, 0, 1, 2, 3, 4, 12, 12]


def test_a_pair_that_just_fits_stays_whole() -> None:
    assert one(made(bert(), 8), "a b", "c d e")[0] == [11, 0, 1, 12, 2, 3, 4, 12]
    assert one(made(bert(), 8), "a b c d", "e")[0] == [11, 0, 1, 2, 3, 12, 4, 12]


def test_a_pair_fits_until_encode_would_cut_it() -> None:
    tokenizer = made(bert(), max_length=8)  # five ids of texts
    questions, passages = ["a b", "a b", "a b c d e f"], ["c d e", "c d e f", ""]
    assert tokenizer.fits(questions, passages).tolist() == [True, False, False]


@given(st.integers(0, 12), st.integers(0, 12), st.integers(5, 16))
def test_length_is_never_passed_and_nothing_is_lost_needlessly(first: int, second: int, max_length: int) -> None:
    ids, types = one(made(bert(), max_length), "a " * first, "b " * second)
    assert len(ids) == len(types) == min(first + second + 3, max_length)
    assert ids.count(0) == first or ids.count(1) == min(second, 1)
    assert ids.count(1) >= min(second, 1)


def test_the_files_own_truncation_and_padding_are_switched_off(tmp_path: Path) -> None:
    tokenizer = bert()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=12, pad_id=13, pad_token="[PAD]")
    folder = folder_of(tmp_path, tokenizer)
    assert one(PairTokenizer.load(folder, 16), "a b c", "d e")[0] == [11, 0, 1, 2, 12, 3, 4, 12]


def test_a_saved_tokenizer_neither_truncates_nor_pads(tmp_path: Path) -> None:
    tokenizer = bert()
    tokenizer.enable_truncation(4)
    made(tokenizer).save(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    assert saved["truncation"] is None
    assert saved["padding"] is None
    assert one(PairTokenizer.load(tmp_path, 16), "a", "b") == one(made(bert()), "a", "b")


def test_made_up_tokens_stay_out_of_the_users_tokenizer() -> None:
    tokenizer = bert()
    made(tokenizer)
    assert tokenizer.get_vocab() == VOCABULARY
    assert one(made(tokenizer), "<tmkd-first>", "a")[0].count(10) > 0


def test_bytes_as_tokens_need_no_unknown_one() -> None:
    tokenizer = made(gpt(), separator_id=200)
    ids, types = one(tokenizer, "ab", "ü")
    assert len(ids) == 2 + 1 + 2
    assert ids[2] == 200
    assert types[:3] == [0, 0, 0]


@pytest.mark.parametrize("text", ["", " ", "\x00", "a\x00b", "\ud800", "\udfff x", "\u200b", "😀" * 50, "[SEP]"])
@pytest.mark.parametrize("kind", [bert, roberta, gpt])
def test_strange_texts_never_raise(kind: Any, text: str) -> None:
    tokens = made(kind(), 12).encode([text, "a", text], ["b", text, text])
    assert tokens.lengths.max() <= 12


@given(st.text(st.characters(), max_size=30), st.text(st.characters(), max_size=30))
def test_any_two_texts_fit(question: str, passage: str) -> None:
    tokenizer = made(gpt(), 9)
    assert tokenizer.encode([question], [passage]).lengths.tolist()[0] <= 9


def test_a_pairs_ids_do_not_depend_on_the_pairs_beside_it() -> None:
    tokenizer = made(bert(), 8)
    questions, passages = ["a b", "a b", "c", "a b"], ["d", "e f g h", "d", ""]
    together = tokenizer.encode(questions, passages)
    for row, pair in enumerate(zip(questions, passages, strict=True)):
        assert one(tokenizer, *pair) == (together.ids[row].tolist(), together.types[row].tolist())


def test_a_text_that_occurs_often_is_tokenised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, seen = made(bert()), []
    first_ids = PrefixTokenizer.first_ids

    def counted(self: PrefixTokenizer, texts: list[str]) -> list[list[int]]:
        seen.extend(texts)
        return first_ids(self, texts)

    monkeypatch.setattr(PrefixTokenizer, "first_ids", counted)
    tokenizer.encode(["a", "a", "a", "b"], ["c", "d", "e", "c"])
    assert seen == ["a", "b", "c", "d", "e"]


def test_a_length_without_room_for_both_texts_is_refused() -> None:
    with pytest.raises(TmkdError, match="max_length 4 does not fit two texts beside 3 special tokens"):
        made(bert(), 4)
    assert one(made(bert(), 5), "a b", "c d")[0] == [11, 0, 12, 2, 12]


@pytest.mark.parametrize(
    ("files", "pad_id"),
    [
        ({"tokenizer_config": {"pad_token": "[PAD]", "eos_token": "[SEP]"}}, 13),
        ({"tokenizer_config": {"pad_token": {"content": "[PAD]"}}}, 13),
        ({"special_tokens_map": {"pad_token": "[PAD]"}}, 13),
        ({"config": {"pad_token_id": 7, "eos_token_id": 6}}, 7),
        ({"config": {"pad_token_id": None, "eos_token_id": 6}}, 6),
        ({"tokenizer_config": {"pad_token": None, "eos_token": "[SEP]"}}, 12),
        ({}, 0),
    ],
)
def test_padding_is_the_pad_token_else_the_end_else_zero(tmp_path: Path, files: dict[str, Any], pad_id: int) -> None:
    assert PairTokenizer.load(folder_of(tmp_path, bert(), **files), 16).settings.pad_id == pad_id


@pytest.mark.parametrize(
    ("files", "type_ids"),
    [
        ({"config": {"type_vocab_size": 2}}, True),
        ({"config": {"type_vocab_size": 1}}, False),
        ({"config": {"model_type": "gpt2"}}, False),
        ({}, True),
    ],
)
def test_types_are_for_models_that_have_more_than_one(tmp_path: Path, files: dict[str, Any], type_ids: bool) -> None:
    assert PairTokenizer.load(folder_of(tmp_path, bert(), **files), 16).settings.type_ids is type_ids


def test_gpt_gets_its_end_token_between_the_texts(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, words(), tokenizer_config={"eos_token": "[SEP]"}, config={"model_type": "gpt2"})
    tokenizer = PairTokenizer.load(folder, 16)
    assert tokenizer.settings == TextSettings(16, 12, False, 12, TEXT_RULES)
    assert one(tokenizer, "a", "b") == ([0, 12, 1], [0, 0, 0])


def test_a_folder_without_a_tokenizer_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"tokenizer\.json: missing"):
        PairTokenizer.load(tmp_path, 16)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(TmkdError, match=r"tokenizer\.json: not a tokenizer"):
        PairTokenizer.load(tmp_path, 16)
    folder_of(tmp_path, bert())
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(TmkdError, match=r"config\.json: not JSON"):
        PairTokenizer.load(tmp_path, 16)


def test_the_name_of_a_special_token_in_a_text_is_text() -> None:
    tokenizer = words()
    tokenizer.add_special_tokens(["[SEP]", "[CLS]"])
    now = PairTokenizer(tokenizer, TextSettings(32, 13, False, None, rules=1))
    # The brackets and the letters between them are no tokens of this vocabulary: unknown, but no special token.
    assert now.encode(["a [SEP] b"], ["c"]).ids[0].tolist() == [0, 10, 10, 10, 1, 2]
    tokenizer = words()
    tokenizer.add_special_tokens(["[SEP]", "[CLS]"])
    before = PairTokenizer(tokenizer, TextSettings(32, 13, False, None))
    assert before.encode(["a [SEP] b"], ["c"]).ids[0].tolist() == [0, 12, 1, 2]


def test_a_folder_is_read_by_todays_rules_and_a_student_by_those_it_was_trained_under(tmp_path: Path) -> None:
    bert().save(str(tmp_path / "tokenizer.json"))
    assert PairTokenizer.load(tmp_path, 16).settings.rules == TEXT_RULES
    for config, rules in (({}, 0), ({"text_rules": 1}, 1)):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "tmkd", **config}))
        assert PairTokenizer.load(tmp_path, 16).settings.rules == rules


def bert_folder(folder: Path, settings: dict[str, Any], model_type: str = "bert") -> Path:
    """A cased BertNormalizer in tokenizer.json, and these settings beside it."""
    vocabulary = {
        word: number for number, word in enumerate(("[PAD]", "[UNK]", "paris", "Paris", "cafe", "café", "北", "北京"))
    }
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False, handle_chinese_chars=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        ({}, [3, 5, 7]),
        ({"do_lower_case": True, "strip_accents": None}, [2, 4, 7]),
        ({"do_lower_case": True}, [2, 5, 7]),
        ({"strip_accents": True}, [3, 4, 7]),
        ({"tokenize_chinese_chars": True}, [3, 5, 6, 1]),
        ({"do_lower_case": "yes"}, [3, 5, 7]),
        ({"do_lower_case": True, "tokenizer_class": "PreTrainedTokenizerFast"}, [3, 5, 7]),
    ],
)
def test_settings_of_berts_tokenizer_go_before_tokenizer_json(
    tmp_path: Path, settings: dict[str, Any], ids: list[int]
) -> None:
    for model_type, expected in (("bert", ids), ("tmkd", [3, 5, 7])):
        tokenizer = PairTokenizer.load(bert_folder(tmp_path, settings, model_type), 16)
        assert tokenizer.encode(["Paris café 北京"], [""]).ids[0].tolist()[: len(expected)] == expected
