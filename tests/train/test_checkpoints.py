from __future__ import annotations

import math
from pathlib import Path

import pytest
from torch import nn

from tmkd.errors import TmkdError
from tmkd.train.checkpoints import MARKER, Best, claim_workdir, newest, seal


def checkpoint(work: Path, step: int, sealed: bool = True) -> Path:
    folder = work / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights of step %d" % step)
    if sealed:
        seal(folder, seconds=step / 10)
    return folder


def test_the_newest_sealed_checkpoint_is_taken_and_the_rest_removed(tmp_path: Path) -> None:
    for step in (9, 10, 100):  # by number, not by name
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 101, sealed=False)
    assert newest(tmp_path) == (tmp_path / "checkpoint-100", 10.0)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-100"]


@pytest.mark.parametrize("damage", ["byte", "gone", "marker"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    checkpoint(tmp_path, 1)
    last = checkpoint(tmp_path, 2)
    if damage == "gone":
        (last / "model.safetensors").unlink()
    else:
        (last / ("model.safetensors" if damage == "byte" else MARKER)).write_bytes(b"weights of step 3")
    assert newest(tmp_path) == (tmp_path / "checkpoint-1", 0.1)


def test_nothing_there_is_a_fresh_start(tmp_path: Path) -> None:
    assert newest(tmp_path) is None


def test_the_folder_of_another_fit_is_emptied_and_ones_own_is_kept(tmp_path: Path) -> None:
    claim_workdir(tmp_path / "work", "this")
    checkpoint(tmp_path / "work", 1)
    claim_workdir(tmp_path / "work", "this")
    assert newest(tmp_path / "work") is not None
    claim_workdir(tmp_path / "work", "that")
    assert newest(tmp_path / "work") is None


def weights(value: float) -> nn.Module:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, value)
    return model


def test_the_best_epochs_weights_come_back_after_a_restart(tmp_path: Path) -> None:
    for epoch, score in enumerate([0.5, 0.9, 0.9, math.nan], start=1):
        Best(tmp_path).record(score, weights(epoch))
    best, model = Best(tmp_path), weights(0)
    best.load_into(model)
    assert best.epoch == 2
    assert model.get_parameter("weight").item() == 2
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["best-2.safetensors"]


def test_an_epoch_that_scores_nan_loses_to_any_other(tmp_path: Path) -> None:
    best = Best(tmp_path)
    best.record(math.nan, weights(1))
    assert best.epoch == 1
    best.record(0.1, weights(2))
    assert best.epoch == 2


def test_a_flipped_byte_in_the_best_weights_is_named(tmp_path: Path) -> None:
    best = Best(tmp_path)
    best.record(0.5, weights(1))
    path = tmp_path / "best-1.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(TmkdError, match=r"best-1\.safetensors: not the weights"):
        best.load_into(weights(0))
