"""Yardsticks: BM25 and an encoder's plain similarity, scorers that nothing was trained for but their threshold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.evaluate.scorers import Model, Probabilities, bytes_on_disk
from tmkd.metrics.calibration import LogOdds, fit_log_odds
from tmkd.network.embeddings import MODULES, EmbeddingModel, EmbeddingSettings, embedding_settings, open_embedding_model
from tmkd.search.index import index_terms
from tmkd.train.hardware import Hardware

# Saturation and length normalisation of BM25, tantivy's too (Robertson and Zaragoza, 2009).
K1, B = 1.2, 0.75


class Score(Model, Protocol):
    """Score of pairs before it becomes a probability."""

    def scores(self, questions: Sequence[str], passages: Sequence[str]) -> npt.NDArray[np.float64]:
        """Scores, float64 (pairs,); the higher the likelier an answer."""


@dataclass(frozen=True, eq=False)
class Bm25:
    """BM25 of a passage for its question, with the document frequencies of a collection of passages."""

    frequencies: Counter[str]
    passages: int
    mean_terms: float
    name: str = "bm25"
    parameters: int = 0
    bytes: int = 0
    precision: str = "fp64"

    @classmethod
    def of(cls, passages: Iterable[str]) -> Bm25:
        """Count the terms of distinct passages; terms are those of our search, without stop words."""
        frequencies: Counter[str] = Counter()
        count = terms = 0
        for passage in dict.fromkeys(passages):
            words = index_terms(passage)
            frequencies.update(set(words))
            count, terms = count + 1, terms + len(words)
        return cls(frequencies, count, terms / max(count, 1))

    def scores(self, questions: Sequence[str], passages: Sequence[str]) -> npt.NDArray[np.float64]:
        """BM25, float64 (pairs,); 0 where no term of the question is in the passage."""
        return np.array([self._score(*pair) for pair in zip(questions, passages, strict=True)], dtype=np.float64)

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Terms per pair."""
        return float(
            np.mean([len(index_terms(q)) + len(index_terms(p)) for q, p in zip(questions, passages, strict=True)])
        )

    def _score(self, question: str, passage: str) -> float:
        words = index_terms(passage)
        counts = Counter(words)
        norm = K1 * (1 - B + B * len(words) / max(self.mean_terms, 1.0))
        found = ((self._idf(term), counts[term]) for term in dict.fromkeys(index_terms(question)) if term in counts)
        return sum(idf * count * (K1 + 1) / (count + norm) for idf, count in found)

    def _idf(self, term: str) -> float:
        frequency = self.frequencies[term]
        return math.log(1 + (self.passages - frequency + 0.5) / (frequency + 0.5))


@dataclass(frozen=True, eq=False)
class Cosine:
    """Similarity of question and passage by a pretrained encoder as it is."""

    name: str
    model: EmbeddingModel
    parameters: int
    bytes: int

    @property
    def precision(self) -> str:
        """Number format that the encoder works in."""
        return self.model.precision

    @classmethod
    def of(cls, name: str, folder: Path, hardware: Hardware) -> Cosine:
        """Open an encoder; where its folder does not say how it pools, the mean over its states is taken.

        Raises: TmkdError when it cannot be opened or pools in a way not known.
        """
        mean = EmbeddingSettings("mean", "cosine", 256, False, "", "")
        settings = embedding_settings(folder) if (folder / MODULES).is_file() else mean
        model = open_embedding_model(folder, hardware.device, hardware.precision, settings)
        return cls(name, model, sum(one.numel() for one in model.encoder.parameters()), bytes_on_disk(folder))

    def scores(self, questions: Sequence[str], passages: Sequence[str]) -> npt.NDArray[np.float64]:
        """Similarities, float64 (pairs,).  Raises: TmkdError when one is no finite number."""
        found = self.model.similarities(questions, passages).astype(np.float64)
        if not np.isfinite(found).all():
            raise TmkdError(f"{self.name}: gives similarities that are no finite numbers; its weights are damaged")
        return found

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Token ids per pair: those of its two texts."""
        return self.model.mean_tokens(questions, passages)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """A score as a scorer: its log-odds are a straight line, fitted to the hand-labelled training pairs."""

    score: Score
    line: LogOdds
    positive: int

    @classmethod
    def fitted(cls, score: Score, golden: pa.Table, labels: LabelSet) -> Yardstick:
        """Fit a score's log-odds to labelled pairs of a two-class task.

        Where that cannot be, the pairs being of one class or their scores alike, the score says the classes' shares.
        """
        scores = score.scores(golden["question"].to_pylist(), golden["passage"].to_pylist())
        positive = golden["label"].to_numpy() == labels.positive_index
        try:
            line = fit_log_odds(scores, positive)
        except ValueError:
            line = LogOdds(0.0, math.log((positive.sum() + 1) / ((~positive).sum() + 1)))
        return cls(score, line, labels.positive_index)

    @property
    def name(self) -> str:
        """Name of its row."""
        return self.score.name

    @property
    def parameters(self) -> int:
        """Parameters of its encoder; BM25 has none."""
        return self.score.parameters

    @property
    def bytes(self) -> int:
        """Bytes on disk of its encoder."""
        return self.score.bytes

    @property
    def precision(self) -> str:
        """Number format of the score."""
        return self.score.precision

    def probabilities(self, questions: Sequence[str], passages: Sequence[str]) -> Probabilities:
        """Probability of each class, float64 (pairs, 2)."""
        log_odds = self.line.slope * self.score.scores(questions, passages) + self.line.offset
        share = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
        both = np.stack([1 - share, share], axis=1)
        return both if self.positive == 1 else both[:, ::-1]

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Words or token ids per pair that it reads."""
        return self.score.mean_tokens(questions, passages)
