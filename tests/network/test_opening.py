"""A model is opened whole or not at all, and reads only as many positions as it has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer
from torch import nn

import tiny
from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.network import Student
from tmkd.network.encoder import bottom_layers, quiet
from tmkd.network.headers import Header
from tmkd.network.opening import longest_pair, reads_padding, refuse_padding, refusing
from tmkd.teachers.network import load, open_model
from tmkd.train.hardware import Hardware

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
COMMON = {"vocab_size": len(tiny.WORDS), "max_position_embeddings": 40, **SIZES}
OFFSET = {**COMMON, "pad_token_id": 1}
LABELS = LabelSet("toy", ("no", "yes"), "yes")
# model type → its settings, and the positions it has for token ids
FAMILIES: dict[str, tuple[dict[str, Any], int]] = {
    "bert": (COMMON, 40),
    "electra": ({**COMMON, "embedding_size": 8}, 40),
    "distilbert": ({"vocab_size": 90, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32,
                    "max_position_embeddings": 40}, 40),
    "roberta": (OFFSET, 38),
    "camembert": (OFFSET, 38),
    "xlm-roberta": (OFFSET, 38),
    "mpnet": (OFFSET, 38),
    "data2vec-text": (OFFSET, 38),
    "xmod": ({**OFFSET, "languages": ["en_XX"], "default_language": "en_XX"}, 38),
    "ibert": (OFFSET, 38),
    "esm": ({**OFFSET, "position_embedding_type": "absolute", "mask_token_id": 3}, 38),
    "longformer": ({**OFFSET, "attention_window": 8}, 38),
    "gpt2": ({"vocab_size": 90, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40}, 40),
    "opt": ({"vocab_size": 90, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32,
             "max_position_embeddings": 40, "word_embed_proj_dim": 16}, 40),
    "xlnet": ({"vocab_size": 90, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}, 512),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_pair_is_what_the_position_embedding_holds(family: str) -> None:
    settings, positions = FAMILIES[family]
    config = transformers.AutoConfig.for_model(family, **settings)
    model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
    assert longest_pair(model, 512) == positions
    assert longest_pair(model, 8) == 8

    def read(length: int) -> Any:
        with torch.no_grad():
            return model(input_ids=torch.full((1, length), 5), attention_mask=torch.ones(1, length, dtype=torch.long))

    read(positions)
    if family not in ("xlnet", "longformer"):  # no end of positions; padded to whole windows by itself
        with pytest.raises((IndexError, RuntimeError, ValueError)):
            read(positions + 1)


def classifier(folder: Path, family: str = "bert", **changes: Any) -> Path:
    """A sequence classifier of random weights with tiny.py's tokenizer."""
    settings = {**FAMILIES[family][0], "vocab_size": len(tiny.WORDS), "initializer_range": 0.3, **changes}
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(family, id2label={0: "no", 1: "yes"}, **settings)
    with quiet():
        transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder


def change_weights(folder: Path, drop: str = "", add: str = "") -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: tensor for name, tensor in weights.items() if not drop or drop not in name}
    if add:
        weights[add] = torch.zeros(3)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("drop", "add", "message"),
    [
        ("classifier", "", "weight classifier.bias is missing"),
        ("layer.1.output.dense", "", r"weight bert.encoder.layer.1.output.dense.bias is missing .*\(and 1 more\)"),
        ("", "bert.encoder.layer.0.adapter.weight", "is in the folder, but the network has no place for it"),
        ("", "extra_head.weight", "weight extra_head.weight is in the folder"),
    ],
)
def test_a_ready_made_teacher_is_whole_or_refused(drop: str, add: str, message: str, tmp_path: Path) -> None:
    folder = classifier(tmp_path)
    load(folder, LABELS, {}, 32, Hardware("cpu", "fp32"), "t")
    change_weights(folder, drop, add)
    with pytest.raises(TmkdError, match=message):
        load(folder, LABELS, {}, 32, Hardware("cpu", "fp32"), "t")


def test_a_weight_of_another_shape_is_named(tmp_path: Path) -> None:
    folder = classifier(tmp_path)
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "classifier.weight": torch.zeros(3, 16)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(TmkdError, match=r"weight classifier.weight has another shape than config.json says"):
        open_model(folder, "t")
    save_file(
        {**weights, "bert.embeddings.position_embeddings.weight": torch.zeros(9, 16)}, folder / "model.safetensors"
    )
    with pytest.raises(TmkdError, match=r"position_embeddings.weight has another shape than config.json says"):
        bottom_layers(folder, 1, "pooler")


@pytest.mark.parametrize("special", [False, True])
def test_a_token_of_a_text_beyond_the_embedding_is_refused(special: bool, tmp_path: Path) -> None:
    folder = classifier(tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken("moonshine", special=special)])
    tokenizer.save(str(folder / "tokenizer.json"))
    if special:  # no text becomes it
        load(folder, LABELS, {}, 32, Hardware("cpu", "fp32"), "t")
        return
    with pytest.raises(TmkdError, match=f"'moonshine' as token id {len(tiny.WORDS)}, but the network embeds"):
        load(folder, LABELS, {}, 32, Hardware("cpu", "fp32"), "t")
    with pytest.raises(TmkdError, match="'moonshine' as token id"):
        Student.start(folder, 1, "pooler", LABELS, [Header("toy/gold", None)], 32, 1)


def test_a_tokenizer_of_special_tokens_alone_is_refused(tmp_path: Path) -> None:
    folder = classifier(tmp_path)
    path = folder / "tokenizer.json"
    stored = json.loads(path.read_text())
    special = {token: number for token, number in stored["model"]["vocab"].items() if token.startswith("[")}
    path.write_text(
        json.dumps(stored | {"model": stored["model"] | {"vocab": special}})
    )  # as converted without its pieces
    told = f"its tokenizer knows {len(special)} token ids, but the network embeds"
    with pytest.raises(TmkdError, match=told):
        load(folder, LABELS, {}, 32, Hardware("cpu", "fp32"), "t")
    with pytest.raises(TmkdError, match=told):
        Student.start(folder, 1, "pooler", LABELS, [Header("toy/gold", None)], 32, 1)


def test_a_base_may_lack_the_head_that_is_trained_but_no_weight_of_its_body(tmp_path: Path) -> None:
    folder = classifier(tmp_path)
    change_weights(folder, drop="classifier", add="cls.predictions.bias")
    assert open_model(folder, "t", num_labels=3).config.num_labels == 3
    change_weights(folder, drop="query")
    with pytest.raises(TmkdError, match=r"attention.self.query.bias is missing"):
        open_model(folder, "t", num_labels=3)


def test_an_encoder_and_a_student_are_whole_or_refused(tmp_path: Path) -> None:
    base = tiny.write_encoder(tmp_path / "base")
    student = Student.start(base, 1, "pooler", LABELS, [Header("toy/gold", None)], 32, 1)
    student.save(tmp_path / "student", base)
    change_weights(tmp_path / "student", drop="headers")
    with pytest.raises(TmkdError, match=r"weight headers.*is missing"):
        Student.from_pretrained(tmp_path / "student")
    change_weights(base, add="encoder.layer.0.lora.weight")
    with pytest.raises(TmkdError, match="no place for it"):
        bottom_layers(base, 1, "pooler")


def last_position(questions: Sequence[str], passages: Sequence[str]) -> np.ndarray:
    longest = max(map(len, passages))
    return np.array([[float(len(passage)), float(longest)] for passage in passages])


def test_a_network_that_reads_padding_is_found_out_and_not_trained() -> None:
    assert reads_padding(last_position, 8, "teacher t")
    assert not reads_padding(lambda questions, passages: np.array([[len(one) / 7.0] for one in passages]), 8, "t")
    with pytest.raises(TmkdError, match="teacher t: its scores move with the padding"):
        refuse_padding(last_position, 8, "teacher t")


def test_xlnet_reads_the_last_position_so_its_pairs_are_scored_without_padding(tmp_path: Path) -> None:
    teacher = load(classifier(tmp_path, "xlnet"), LABELS, {}, 32, Hardware("cpu", "fp32"), "t")
    assert not teacher.padded
    questions, passages = ["the moon", "the sea", "the sun"], ["rain", "the sun . the sun .", "tea"]
    together = teacher.logits(questions, passages)
    alone = [teacher.logits([question], [passage])[0] for question, passage in zip(questions, passages, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    inputs = teacher.tokenizer.encode(["the moon"], ["rain"]).pad(np.array([0]), 0)
    with torch.no_grad():
        theirs = model(**{name: torch.from_numpy(ids) for name, ids in inputs.items()})
    np.testing.assert_allclose(together[0], theirs.logits[0], atol=1e-5)


def test_weights_that_are_no_finite_numbers_are_refused() -> None:
    with pytest.raises(TmkdError, match="no finite numbers"):
        reads_padding(lambda questions, passages: np.full((len(passages), 2), np.nan), 8, "teacher t")


def test_what_a_models_code_raises_becomes_one_line() -> None:
    with pytest.raises(TmkdError, match=r"^m: first$"), refusing("m"):
        raise AssertionError("first\nsecond")


@pytest.mark.parametrize("layers", [1, 2])
def test_only_what_a_config_lists_by_layer_is_cut(layers: int, tmp_path: Path) -> None:
    settings = {**COMMON, "pos_att_type": ["p2c", "c2p"], "relative_attention": True}  # as many as there are layers
    with quiet():
        transformers.DebertaV2Model(transformers.DebertaV2Config(**settings)).save_pretrained(tmp_path)
    assert bottom_layers(tmp_path, layers, "first").config.pos_att_type == ["p2c", "c2p"]


def test_position_tables_are_found_by_name_and_shape() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = transformers.BertConfig(max_position_embeddings=64)
            self.relative_position_bias = nn.Embedding(4, 2)
            self.wpe = nn.Embedding(30, 2, padding_idx=1)

    assert longest_pair(Odd(), 512) == 28


@pytest.mark.parametrize("family", ["t5", "longformer"])
def test_a_body_that_cannot_serve_is_an_error_of_one_line(family: str, tmp_path: Path) -> None:
    t5 = {"vocab_size": len(tiny.WORDS), "d_model": 16, "num_layers": 2, "num_heads": 2, "d_kv": 8, "d_ff": 16}
    settings: dict[str, Any] = t5 if family == "t5" else {**OFFSET, "attention_window": [8, 8]}
    config = transformers.AutoConfig.for_model(family, **settings)
    with quiet():
        transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    tiny.write_tokenizer(tmp_path)
    if family == "t5":
        with pytest.raises(TmkdError, match="a t5 has no encoder alone"):
            Student.start(tmp_path, 1, "first", LABELS, [Header("toy/gold", None)], 16, 1)
    else:
        assert Student.start(tmp_path, 1, "first", LABELS, [Header("toy/gold", None)], 16, 1).config.encoder
