"""A tiny pretrained world: encoders of random weights with a word-level tokenizer beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, DistilBertConfig, GPT2Config, RobertaConfig
from transformers.models.auto.modeling_auto import AutoModel

WORDS = [
    "what",
    "is",
    "the",
    "moon",
    "made",
    "of",
    "rock",
    "and",
    "dust",
    "cheese",
    "why",
    "does",
    "it",
    "shine",
    "sun",
]
SPECIALS = {"bert": ("[CLS]", "[SEP]", "[PAD]"), "roberta": ("<s>", "</s>", "<pad>")}

SHAPES: dict[str, Any] = {
    "bert": lambda: BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    ),
    "roberta": lambda: RobertaConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=66, type_vocab_size=1, pad_token_id=2,
    ),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=40, dim=16, n_layers=4, n_heads=2, hidden_dim=32, max_position_embeddings=64, pad_token_id=2
    ),
    "gpt2": lambda: GPT2Config(
        vocab_size=40, n_embd=16, n_layer=4, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=1
    ),
}  # fmt: skip


def write_tokenizer(folder: Path, family: str) -> None:
    first, end, pad = SPECIALS.get(family, SPECIALS["bert"])
    vocabulary = {word: index for index, word in enumerate([first, end, pad, "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing((end, 1), (first, 0))
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": pad, "cls_token": first, "sep_token": end}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """family → a folder with its tiny encoder of four layers and its tokenizer, written once."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            path = made[family] = tmp_path_factory.mktemp(family)
            torch.manual_seed(7)
            AutoModel.from_config(SHAPES[family]()).save_pretrained(path)
            write_tokenizer(path, family)
        return made[family]

    return folder
