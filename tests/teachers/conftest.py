"""Tiny random classifiers of several families, each a normal folder with a tokenizer of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    GPT2Config,
    MPNetConfig,
    PreTrainedModel,
    RobertaConfig,
)

import tiny
from tmkd.network.encoder import quiet

WORDS = tuple(word for word in tiny.WORDS if not word.startswith("["))

Make = Callable[..., Path]


def _bert(**told: Any) -> BertConfig:
    return BertConfig(
        vocab_size=len(WORDS) + 4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, initializer_range=0.3, **told,
    )  # fmt: skip


def _roberta(**told: Any) -> RobertaConfig:
    return RobertaConfig(
        vocab_size=len(WORDS) + 4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=42, type_vocab_size=1, initializer_range=0.3, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, **told,
    )  # fmt: skip


def _mpnet(**told: Any) -> MPNetConfig:
    return MPNetConfig(
        vocab_size=len(WORDS) + 4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=42, initializer_range=0.3, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, **told,
    )  # fmt: skip


def _gpt2(**told: Any) -> GPT2Config:
    return GPT2Config(
        vocab_size=len(WORDS) + 4, n_embd=16, n_layer=2, n_head=2, n_positions=40, initializer_range=0.3,
        bos_token_id=0, eos_token_id=0, **told,
    )  # fmt: skip


FAMILIES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "bert": (_bert, ("[PAD]", "[CLS]", "[SEP]")),
    "roberta": (_roberta, ("<s>", "<pad>", "</s>")),
    "mpnet": (_mpnet, ("<s>", "<pad>", "</s>")),
    "gpt2": (_gpt2, ("<|end|>",)),
}


def write_tokenizer(folder: Path, family: str) -> None:
    """The family's way to write a pair: [CLS] a [SEP] b [SEP], <s> a </s></s> b </s>, or nothing but the words."""
    specials = FAMILIES[family][1]
    vocabulary = {word: index for index, word in enumerate((*specials, "[UNK]", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    told: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if family == "bert":
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
        told |= {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    elif family in ("roberta", "mpnet"):
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        told |= {"pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
    else:
        told |= {"bos_token": "<|end|>", "eos_token": "<|end|>"}  # GPT-2 comes without a pad token
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


@pytest.fixture(scope="session")
def ready_made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """(family, class names) → a folder with a classifier of random weights; written once."""
    made: dict[tuple[str, tuple[str, ...]], Path] = {}

    def make(family: str, classes: Sequence[str] = ("no", "yes")) -> Path:
        key = family, tuple(classes)
        if key not in made:
            folder = made[key] = tmp_path_factory.mktemp(family)
            torch.manual_seed(3)
            config = FAMILIES[family][0](
                num_labels=len(classes),
                id2label=dict(enumerate(classes)),
                label2id={c: i for i, c in enumerate(classes)},
            )
            model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
            with quiet():
                model.save_pretrained(folder)
            write_tokenizer(folder, family)
        return made[key]

    return make
