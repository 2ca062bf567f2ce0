from __future__ import annotations

import json
from pathlib import Path

import pytest

from tmkd.machine import cores
from tmkd.train.estimate import scoring_seconds, training_seconds, weight_bytes


def model(folder: Path, **config: int) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_seconds_grow_with_pairs_and_layers(tmp_path: Path) -> None:
    base = model(tmp_path, num_hidden_layers=12, hidden_size=768)
    assert scoring_seconds(base, None, 1500) == pytest.approx(100 / cores())
    assert scoring_seconds(base, 3, 1500) == pytest.approx(25 / cores())
    assert training_seconds(base, None, 660) == pytest.approx(200 / cores())


def test_gpt_2_names_its_layers_and_its_width_otherwise(tmp_path: Path) -> None:
    base = model(tmp_path, n_layer=6, n_embd=384)
    assert scoring_seconds(base, None, 1500) == pytest.approx(100 / 8 / cores())


def test_weights_are_the_safetensors_files(tmp_path: Path) -> None:
    for name, size in (("model-1.safetensors", 5), ("model-2.safetensors", 6), ("pytorch_model.bin", 100)):
        (tmp_path / name).write_bytes(b"w" * size)
    assert weight_bytes(tmp_path) == 11
