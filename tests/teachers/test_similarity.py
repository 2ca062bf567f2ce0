"""An embedding model as a teacher: similarities become log-odds by the hand labels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer
from transformers import MPNetConfig, MPNetModel

import tiny
from network.test_embeddings import write_model, write_settings
from tmkd.errors import TmkdError
from tmkd.metrics.calibration import fit_log_odds
from tmkd.network.embeddings import open_embedding_model
from tmkd.network.encoder import quiet
from tmkd.teachers.similarity import LINE, fit_similarity, open_similarity
from tmkd.train.hardware import Hardware

Make = Callable[..., Path]
CPU = Hardware("cpu", "fp32")
QUESTIONS, PASSAGES = ["what is tea", "tea", "what is rain", "rain"], ["tea is a drink", "rain", "rain", "a drink"]
LABELS = [1, 0, 1, 0]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    write_model(folder)
    write_settings(folder, {"pooling_mode_mean_tokens": True})
    return folder


def _golden(labels: list[int]) -> pa.Table:
    return pa.table({"question": QUESTIONS, "passage": PASSAGES, "label": pa.array(labels, pa.int64())})


def test_its_logits_are_0_and_the_fitted_log_odds(base: Path, tmp_path: Path) -> None:
    facts = fit_similarity("cos", base, _golden(LABELS), tmp_path, CPU)
    similarities = open_embedding_model(base, "cpu", "fp32").similarities(QUESTIONS, PASSAGES)
    line = fit_log_odds(similarities, LABELS)
    assert (facts["slope"], facts["offset"], facts["pairs"]) == (*line, 4)
    network = open_similarity(base, tmp_path, CPU)
    logits = network.logits(QUESTIONS, PASSAGES)
    assert logits.dtype == np.float32
    assert not logits[:, 0].any()
    np.testing.assert_allclose(logits[:, 1], line.slope * similarities + line.offset, rtol=1e-5)


def test_it_tells_its_size_and_tokens(base: Path, tmp_path: Path) -> None:
    fit_similarity("cos", base, _golden(LABELS), tmp_path, CPU)
    network = open_similarity(base, tmp_path, CPU)
    assert network.parameters == sum(weight.numel() for weight in network.model.encoder.parameters())
    assert network.mean_tokens(["tea"], ["rain"]) == 6
    assert network.at(Hardware("cpu", "bf16")).hardware.precision == "bf16"


def test_labels_of_one_class_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"teacher cos: its similarities cannot become log-odds: .*both classes"):
        fit_similarity("cos", base, _golden([1, 1, 1, 1]), tmp_path, CPU)


@pytest.mark.parametrize("content", ["", "{}", '{"slope": "much", "offset": 0}', "[]"])
def test_a_damaged_line_is_refused(base: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / LINE).write_text(content)
    with pytest.raises(TmkdError, match=r"log_odds\.json: damaged"):
        open_similarity(base, tmp_path, CPU)


def test_mpnet_is_an_embedding_model_too(ready_made: Make, tmp_path: Path) -> None:
    base = tmp_path / "mpnet"
    shutil.copytree(ready_made("mpnet"), base)
    config = json.loads((base / "config.json").read_bytes())
    model = MPNetModel(MPNetConfig(**config)).eval()
    with quiet():
        model.save_pretrained(base)
    write_settings(base, {"pooling_mode_mean_tokens": True})
    rows = tiny.pairs(range(4))
    golden = pa.table(
        {
            "question": [question for question, _, _ in rows],
            "passage": [passage for _, passage, _ in rows],
            "label": pa.array([int(label == "yes") for _, _, label in rows], pa.int64()),
        }
    )
    fit_similarity("cos", base, golden, tmp_path, CPU)
    network = open_similarity(base, tmp_path, CPU)
    assert network.parameters == sum(weight.numel() for weight in model.parameters())
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    with torch.no_grad():
        one, other = (
            model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0].mean(0) for text in rows[0][:2]
        )
    cosine = torch.cosine_similarity(one, other, dim=0).item()
    logits = network.logits([rows[0][0]] * 2, [rows[0][1], rows[1][1]])  # the second makes a padded batch
    assert logits[0, 1] == pytest.approx(network.line.slope * cosine + network.line.offset, abs=1e-3)
