"""A tokenizer against transformers' reading of its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.network.same_ids import PROBES, check_ids

NAMES = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
LETTERS = sorted(set("".join(PROBES).lower() + "".join(PROBES)) - set(" \t\n"))


def folder_of(folder: Path, settings: dict[str, Any] | None, split: Any = None) -> Path:
    words = [*NAMES.values(), *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = split or pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "type_vocab_size": 2}))
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "BertTokenizer", **NAMES, **settings})
        )
    return folder


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("accents", [True, False, None])
@pytest.mark.parametrize("chinese", [True, False])
def test_every_setting_of_berts_tokenizer_gives_transformers_ids(
    tmp_path: Path, lower: bool, accents: bool | None, chinese: bool
) -> None:
    settings = {"do_lower_case": lower, "strip_accents": accents, "tokenize_chinese_chars": chinese}
    folder = folder_of(tmp_path, settings)
    tokenizer = PairTokenizer.load(folder, 32)
    check_ids(folder, tokenizer, "x")
    theirs = AutoTokenizer.from_pretrained(folder)("Where is Élan", "北京 Paris")["input_ids"]
    assert tokenizer.encode(["Where is Élan"], ["北京 Paris"]).ids[0].tolist() == theirs


def test_other_ids_than_transformers_are_refused(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, {"do_lower_case": False}, pre_tokenizers.WhitespaceSplit()
    )  # BertTokenizer has its own
    with pytest.raises(TmkdError, match=r"^here: its tokenizer.json gives 'Where is Paris, and WHY\?' other token ids"):
        check_ids(folder, PairTokenizer.load(folder, 32), "here")


def test_a_default_that_is_not_in_the_settings_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {})  # transformers lower-cases, tokenizer.json does not
    with pytest.raises(TmkdError, match="other token ids than transformers does"):
        check_ids(folder, PairTokenizer.load(folder, 32), "here")


def test_other_special_tokens_around_a_pair_than_transformers_are_refused(tmp_path: Path) -> None:
    settings = {"tokenizer_class": "MPNetTokenizer", "do_lower_case": False}  # two separators, of the class itself
    folder = folder_of(tmp_path, settings)
    with pytest.raises(TmkdError, match=r"^here: its tokenizer.json puts other special tokens"):
        check_ids(folder, PairTokenizer.load(folder, 32), "here")


def test_settings_without_token_types_are_refused_where_the_network_has_two(tmp_path: Path) -> None:
    settings = {"do_lower_case": False, "model_input_names": ["input_ids", "attention_mask"]}
    folder = folder_of(tmp_path, settings)
    with pytest.raises(TmkdError, match=r"^here: model_input_names .* has no token_type_ids"):
        check_ids(folder, PairTokenizer.load(folder, 32), "here")
    (folder / "config.json").write_text(json.dumps({"model_type": "distilbert"}))
    check_ids(folder, PairTokenizer.load(folder, 32), "here")


def test_without_settings_or_a_class_that_opens_tokenizer_json_stands(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, None)
    check_ids(folder, PairTokenizer.load(folder, 32), "here")
    folder = folder_of(tmp_path, {"tokenizer_class": "NoSuchTokenizer", "auto_map": {"AutoTokenizer": ["a.B", None]}})
    check_ids(folder, PairTokenizer.load(folder, 32), "here")
