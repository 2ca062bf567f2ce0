"""An embedding model as a teacher: similarities become log-odds by the hand labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from network.test_embeddings import write_model, write_settings
from tmkd.errors import TmkdError
from tmkd.metrics.calibration import fit_log_odds
from tmkd.network.embeddings import open_embedding_model
from tmkd.teachers.similarity import LINE, fit_similarity, open_similarity
from tmkd.train.hardware import Hardware

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
