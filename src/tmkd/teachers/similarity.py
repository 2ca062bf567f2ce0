"""Similarity of an embedding model as a teacher: log-odds = slope · similarity + offset, fitted to the hand labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tmkd.errors import TmkdError
from tmkd.metrics.calibration import LogOdds, fit_log_odds
from tmkd.network.embeddings import EmbeddingModel, open_embedding_model
from tmkd.store import json_bytes, write_atomic
from tmkd.train.hardware import Hardware

LINE = "log_odds.json"


@dataclass(frozen=True, eq=False)
class SimilarityNetwork:
    """Embedding model with the line that makes its similarities log-odds."""

    model: EmbeddingModel
    line: LogOdds
    hardware: Hardware

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(weight.numel() for weight in self.model.encoder.parameters())

    def at(self, hardware: Hardware) -> SimilarityNetwork:
        """The same, working on other hardware."""
        return SimilarityNetwork(self.model.at(hardware.device, hardware.precision), self.line, hardware)

    def logits(
        self, questions: Sequence[str], passages: Sequence[str], done: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Raw logits (0, log-odds), float32 (pairs, 2)."""
        similarities = self.model.similarities(questions, passages, done).astype(np.float64)
        log_odds = self.line.slope * similarities + self.line.offset
        return np.stack([np.zeros_like(log_odds), log_odds], axis=1).astype(np.float32)

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Token ids per pair as the network reads them."""
        return self.model.mean_tokens(questions, passages)


def fit_similarity(name: str, base: Path, golden: pa.Table, folder: Path, hardware: Hardware) -> dict[str, Any]:
    """Fit an embedding model's similarities to labels and write the line into `folder`; returns it as facts.

    golden: pairs with labels 0 and 1. Raises: TmkdError when the labels are of one class, or the similarities alike.
    """
    model = open_embedding_model(base, hardware.device, hardware.precision)
    similarities = model.similarities(golden["question"].to_pylist(), golden["passage"].to_pylist())
    try:
        line = fit_log_odds(similarities, golden["label"].to_numpy() == 1)
    except ValueError as error:
        raise TmkdError(f"teacher {name}: its similarities cannot become log-odds: {error}") from None
    facts = {**line._asdict(), "pairs": golden.num_rows}
    write_atomic(folder / LINE, json_bytes(facts))
    return facts


def open_similarity(base: Path, folder: Path, hardware: Hardware) -> SimilarityNetwork:
    """Open an embedding model with the line in `folder`.  Raises: TmkdError when either cannot be read."""
    path = folder / LINE
    try:
        facts = json.loads(path.read_bytes())
        line = LogOdds(float(facts["slope"]), float(facts["offset"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TmkdError(f"{path}: damaged ({error}); remove {folder} and run teach again") from None
    return SimilarityNetwork(open_embedding_model(base, hardware.device, hardware.precision), line, hardware)
