"""Tokenizer files of a one-logit export, for every program that reads a tokenizer or its maximum length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tmkd.data.text import PairTokenizer
from tmkd.network.student import TOKENIZER_FILES
from tmkd.store import json_bytes, write_atomic

SPECIAL_TOKENS = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}


def write_tokenizer(tokenizer: PairTokenizer, student_folder: Path, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json, special_tokens_map.json, sentence_bert_config.json, and vocab.txt.

    A tokenizer like BERT's own is named BertTokenizer, the only class that Elasticsearch accepts, and gets a vocab.txt
    for programs that do not read tokenizer.json. Any other is a PreTrainedTokenizerFast without vocab.txt. Special
    tokens have the names in `student_folder`, or else BERT's.
    """
    tokenizer.save(folder)
    words: dict[str, int] = tokenizer.tokenizer.get_vocab()
    special = _special_tokens(student_folder, words)
    bert = _bert_settings(json.loads(tokenizer.tokenizer.to_str()))
    longest = tokenizer.settings.max_length
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast" if bert is None else "BertTokenizer",
        "model_max_length": longest,
        "model_input_names": ["input_ids", *["token_type_ids"] * tokenizer.settings.type_ids, "attention_mask"],
        **special,
        **(bert or {}),
    }
    write_atomic(folder / "tokenizer_config.json", json_bytes(config))
    write_atomic(folder / "special_tokens_map.json", json_bytes(special))
    # do_lower_case would add a step before the tokenizer, which itself lowers case if its settings demand it.
    write_atomic(folder / "sentence_bert_config.json", json_bytes({"max_seq_length": longest, "do_lower_case": False}))
    if bert is not None:
        lines = (f"{word}\n" for word in sorted(words, key=words.__getitem__))
        write_atomic(folder / "vocab.txt", "".join(lines).encode())


def _special_tokens(student_folder: Path, words: dict[str, int]) -> dict[str, str]:
    """Special tokens that are in the vocabulary, by unk_token, sep_token, …"""
    config: dict[str, Any] = {}
    for name in TOKENIZER_FILES:
        if (student_folder / name).is_file():
            config |= json.loads((student_folder / name).read_bytes())
    named = {f"{kind}_token": config.get(f"{kind}_token") or usual for kind, usual in SPECIAL_TOKENS.items()}
    texts = {key: token["content"] if isinstance(token, dict) else token for key, token in named.items()}
    return {key: text for key, text in texts.items() if text in words}


def _bert_settings(content: dict[str, Any]) -> dict[str, bool | None] | None:
    """Settings with which BertTokenizer equals this tokenizer.json; None if no settings do."""
    normalizer, split, model = ((content.get(name) or {}) for name in ("normalizer", "pre_tokenizer", "model"))
    if [one.get("type") for one in (normalizer, split, model)] != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        return None
    return {
        "do_lower_case": normalizer["lowercase"],
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
        "strip_accents": normalizer["strip_accents"],
    }
