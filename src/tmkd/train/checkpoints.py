"""Files of a fit while it runs: sealed checkpoints, the dev score of each epoch, the best weights."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import safetensors.torch
from torch import nn

from tmkd.errors import TmkdError
from tmkd.store import digest_file, json_bytes, write_atomic

MARKER = "sealed.json"  # in each checkpoint, written last
OWNER = "run.json"  # fingerprint of the fit that the folder belongs to
HISTORY = "best.json"


def claim_workdir(work: Path, fingerprint: str) -> None:
    """Claim `work` for this fit; files of another fit (other data, settings or start weights) are removed."""
    owner = work / OWNER
    if not owner.is_file() or owner.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(work, ignore_errors=True)
        try:
            work.mkdir(parents=True)
        except OSError as error:
            raise TmkdError(f"{work}: cannot be made: {error.strerror}") from error
        write_atomic(owner, fingerprint.encode())


def seal(folder: Path, seconds: float) -> None:
    """Mark a checkpoint as whole: the digest of each of its files and the seconds trained so far."""
    files = {path.name: digest_file(path) for path in sorted(folder.iterdir())}
    write_atomic(folder / MARKER, json_bytes({"seconds": seconds, "files": files}))


def newest(work: Path) -> tuple[Path, float] | None:
    """The newest checkpoint that is whole, and the seconds trained until it; the others are removed."""
    folders = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    found: tuple[Path, float] | None = None
    for folder in folders:
        seconds = None if found else _sealed(folder)
        if seconds is None:
            shutil.rmtree(folder)
        else:
            found = folder, seconds
    return found


def _sealed(folder: Path) -> float | None:
    """Seconds trained until a whole checkpoint; None when its marker is missing or a file differs from it."""
    try:
        marker = json.loads((folder / MARKER).read_bytes())
        if all(digest_file(folder / name) == digest for name, digest in marker["files"].items()):
            return float(marker["seconds"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        pass
    return None


class Best:
    """The dev score of each epoch and the weights of the best one, kept across restarts.

    A score counts once `best.json` names it; it is then never measured again, so scores and weights always agree.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.scores: list[float] = []
        if (work / HISTORY).is_file():
            self.scores = list(json.loads((work / HISTORY).read_bytes())["scores"])

    @property
    def epoch(self) -> int:
        """The epoch, from 1, with the highest score; the earliest of equals; NaN is the lowest."""
        comparable = [-math.inf if math.isnan(score) else score for score in self.scores]
        return comparable.index(max(comparable)) + 1

    def _weights(self, epoch: int) -> Path:
        return self.work / f"best-{epoch}.safetensors"

    def record(self, score: float, model: nn.Module) -> None:
        """Take the next epoch's score, and the model's weights if it is the best so far."""
        self.scores.append(score)
        epoch = self.epoch
        if epoch == len(self.scores):
            safetensors.torch.save_model(model, str(self._weights(epoch)))
        digest = digest_file(self._weights(epoch))
        write_atomic(self.work / HISTORY, json_bytes({"scores": self.scores, "weights": digest}))
        for path in self.work.glob("best-*.safetensors"):
            if path != self._weights(epoch):
                path.unlink()

    def load_into(self, model: nn.Module) -> None:
        """Give the model the best epoch's weights.

        Raises: TmkdError when their bytes are not those that were written.
        """
        path = self._weights(self.epoch)
        expected = json.loads((self.work / HISTORY).read_bytes())["weights"]
        if not path.is_file() or digest_file(path) != expected:
            raise TmkdError(f"{path}: not the weights that were written; remove {self.work} and run again")
        safetensors.torch.load_model(model, str(path))
