"""Embeddings as a folder of sentence-transformers says: pooling, prompts, similarity; the rest refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from tmkd.errors import TmkdError
from tmkd.network.embeddings import EmbeddingSettings, embedding_files, embedding_settings, open_embedding_model
from tmkd.network.encoder import quiet

CPU = ("cpu", "fp32")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "query", "what", "is", "tea", "a", "drink", "rain"]
QUESTIONS, PASSAGES = ["what is tea", "what is rain", "what is tea"], ["tea is a drink", "rain", "a drink"]


def write_model(folder: Path) -> BertModel:
    """A tiny encoder with a tokenizer; the files that say how it pools are not there yet."""
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(1)
    model = BertModel(BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=20, initializer_range=0.5,
    )).eval()  # fmt: skip
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return model


def write_settings(folder: Path, pooling: dict[str, Any], prompts: dict[str, Any] | None = None, *more: str) -> None:
    """modules.json, a pooling and prompts, as sentence-transformers writes them."""
    kinds = ("Transformer", "Pooling", *more)
    modules = [
        {
            "idx": n,
            "name": str(n),
            "path": "" if not n else f"{n}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for n, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if prompts is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path)
    write_settings(tmp_path, {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, None, "Normalize")
    return tmp_path


def _states(folder: Path, text: str) -> torch.Tensor:
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    with torch.no_grad():
        states: torch.Tensor = BertModel.from_pretrained(folder).eval()(torch.tensor([ids])).last_hidden_state[0]
    return states


@pytest.mark.parametrize(("flag", "pooled"), [
    ("pooling_mode_mean_tokens", lambda states: states.mean(0)),
    ("pooling_mode_cls_token", lambda states: states[0]),
    ("pooling_mode_max_tokens", lambda states: states.max(0).values),
    ("pooling_mode_lasttoken", lambda states: states[-1]),
])  # fmt: skip
def test_the_cosine_is_that_of_the_pooled_states(folder: Path, flag: str, pooled: Any) -> None:
    write_settings(folder, {flag: True})
    found = open_embedding_model(folder, *CPU).similarities(QUESTIONS, PASSAGES)
    for number, texts in enumerate(zip(QUESTIONS, PASSAGES, strict=True)):
        a, b = (pooled(_states(folder, text)) for text in texts)
        assert found[number] == pytest.approx(torch.cosine_similarity(a, b, dim=0).item(), abs=1e-5)
    assert found.dtype == np.float32


def test_prompts_stand_before_the_texts_they_are_for(folder: Path) -> None:
    write_settings(folder, {"pooling_mode_mean_tokens": True}, {"prompts": {"query": "query ", "document": "a "}})
    found = open_embedding_model(folder, *CPU).similarities(["tea"], ["rain"])
    a, b = (_states(folder, text).mean(0) for text in ("query tea", "a rain"))
    assert found[0] == pytest.approx(torch.cosine_similarity(a, b, dim=0).item(), abs=1e-5)


def test_the_default_prompt_is_for_both(folder: Path) -> None:
    prompts = {"prompts": {"sts": "query "}, "default_prompt_name": "sts"}
    write_settings(folder, {"pooling_mode_mean_tokens": True}, prompts)
    settings = embedding_settings(folder)
    assert (settings.question_prompt, settings.passage_prompt) == ("query ", "query ")


def test_a_dot_product_is_not_normalised(folder: Path) -> None:
    write_settings(folder, {"pooling_mode_mean_tokens": True}, {"similarity_fn_name": "dot"})
    found = open_embedding_model(folder, *CPU).similarities(["tea"], ["rain"])
    a, b = (_states(folder, text).mean(0) for text in ("tea", "rain"))
    assert found[0] == pytest.approx((a @ b).item(), rel=1e-4)


def test_length_and_case_are_the_models_own(folder: Path) -> None:
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 4, "do_lower_case": true}')
    model = open_embedding_model(folder, *CPU)
    assert (model.settings.max_length, model.settings.lower_case) == (4, True)
    assert model.similarities(["TEA IS A DRINK"], ["tea is"])[0] == pytest.approx(1, abs=1e-5)  # cut and lowered
    assert model.mean_tokens(["tea is a drink"], ["tea"]) == 7


def test_a_text_has_no_more_ids_than_the_encoder_has_positions(folder: Path) -> None:
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 512}')
    assert np.isfinite(open_embedding_model(folder, *CPU).similarities(["tea " * 100], ["rain"])).all()


def test_each_distinct_text_is_embedded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_embedding_model(folder, *CPU)
    texts = 0
    own = type(model.tokenizer).encode

    def counted(self: Any, given: list[str]) -> Any:
        nonlocal texts
        texts += len(given)
        return own(self, given)

    monkeypatch.setattr(type(model.tokenizer), "encode", counted)
    model.similarities(QUESTIONS, PASSAGES)
    assert texts == 2 + 3


def test_a_similarity_does_not_depend_on_the_batch(folder: Path) -> None:
    model = open_embedding_model(folder, *CPU)
    alone = [model.similarities([q], [p])[0] for q, p in zip(QUESTIONS, PASSAGES, strict=True)]
    np.testing.assert_allclose(model.similarities(QUESTIONS, PASSAGES), alone, atol=1e-5)


@pytest.mark.parametrize(("pooling", "message"), [
    ({}, "pools by nothing that it names"),
    ({"pooling_mode_weightedmean_tokens": True}, "pools by weightedmean; one of mean, cls, max, lasttoken is known"),
    ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "pools by mean and cls"),
    ({"pooling_mode_mean_tokens": True, "include_prompt": False}, "leaves the prompt out"),
])  # fmt: skip
def test_a_pooling_that_is_not_known_is_refused(folder: Path, pooling: dict[str, Any], message: str) -> None:
    write_settings(folder, pooling)
    with pytest.raises(TmkdError, match=message):
        embedding_settings(folder)


def test_a_model_without_pooling_files_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    with pytest.raises(TmkdError, match=r"no embedding model: modules\.json is missing"):
        open_embedding_model(tmp_path, *CPU)


def test_a_further_layer_and_another_similarity_are_refused(folder: Path) -> None:
    write_settings(folder, {"pooling_mode_mean_tokens": True}, None, "Dense")
    with pytest.raises(TmkdError, match="a chain of Transformer, Pooling, Dense"):
        embedding_settings(folder)
    write_settings(folder, {"pooling_mode_mean_tokens": True}, {"similarity_fn_name": "euclidean"})
    with pytest.raises(TmkdError, match="similarity euclidean; cosine and dot are known"):
        embedding_settings(folder)


def test_an_encoder_whose_folder_says_nothing_is_opened_with_given_settings(tmp_path: Path) -> None:
    write_model(tmp_path)
    settings = EmbeddingSettings("mean", "cosine", 16, False, "", "")
    found = open_embedding_model(tmp_path, *CPU, settings).similarities(["tea"], ["tea"])
    assert found[0] == pytest.approx(1, abs=1e-5)


def test_the_files_that_decide_an_embedding_are_named(folder: Path) -> None:
    assert [path.name for path in embedding_files(folder)] == ["config.json", "modules.json"]
