from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer

import tiny
from tmkd.data.text import PairTokenizer
from tmkd.export.compat_tokenizer import write_tokenizer


@pytest.fixture
def student(tmp_path: Path) -> Path:
    folder = tmp_path / "student"
    folder.mkdir()
    tiny.write_tokenizer(folder)
    return folder


def written(student: Path, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    write_tokenizer(PairTokenizer.load(student, 24), student, folder)
    config: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text())
    return config


def test_berts_own_tokenizer_is_named_so_and_has_a_vocabulary(student: Path, tmp_path: Path) -> None:
    config = written(student, tmp_path / "out")
    assert config["tokenizer_class"] == "BertTokenizer"
    assert config["model_max_length"] == 24
    assert config["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
    assert (tmp_path / "out" / "vocab.txt").read_text().splitlines() == list(tiny.WORDS)
    settings = json.loads((tmp_path / "out" / "sentence_bert_config.json").read_text())
    assert settings == {"max_seq_length": 24, "do_lower_case": False}


def test_transformers_gives_the_students_ids(student: Path, tmp_path: Path) -> None:
    written(student, tmp_path / "out")
    question, passage = tiny.question(3), tiny.passage(3, True)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")(question, passage)["input_ids"]
    assert theirs == PairTokenizer.load(student, 24).encode([question], [passage]).ids[0].tolist()


def test_another_normalizer_makes_it_a_fast_tokenizer_without_a_vocabulary(student: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(student / "tokenizer.json"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.save(str(student / "tokenizer.json"))
    assert written(student, tmp_path / "out")["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert not (tmp_path / "out" / "vocab.txt").exists()


def test_special_tokens_are_the_students_if_the_vocabulary_has_them(student: Path, tmp_path: Path) -> None:
    named = {"sep_token": {"content": tiny.WORDS[-1]}, "cls_token": "<absent>"}
    (student / "tokenizer_config.json").write_text(json.dumps(named))
    config = written(student, tmp_path / "out")
    special = json.loads((tmp_path / "out" / "special_tokens_map.json").read_text())
    assert special["sep_token"] == config["sep_token"] == tiny.WORDS[-1]
    assert "cls_token" not in special
    assert special["pad_token"] == "[PAD]"
