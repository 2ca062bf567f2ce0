"""Scorer of a bundle: the exported student as it is served on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tmkd.bundle import Ranker
from tmkd.bundle.format import BUNDLE, GRAPHS
from tmkd.data.text import TOKENIZER


@dataclass(frozen=True, eq=False)
class BundleScorer:
    """A bundle, computed by the engine that its Ranker takes here; `parameters` are its student's."""

    name: str
    ranker: Ranker
    parameters: int

    @classmethod
    def open(cls, name: str, folder: Path, parameters: int) -> BundleScorer:
        """Open a bundle's folder.  Raises: TmkdError when it cannot be served here."""
        return cls(name, Ranker(folder), parameters)

    @property
    def bytes(self) -> int:
        """Bytes on disk of the files that are read for serving."""
        names = (BUNDLE, GRAPHS[self.ranker.precision], TOKENIZER)
        return sum((self.ranker.folder / name).stat().st_size for name in names)

    @property
    def precision(self) -> str:
        """Precision, engine and width."""
        return self.ranker.engine_words

    def probabilities(self, questions: Sequence[str], passages: Sequence[str]) -> npt.NDArray[np.float64]:
        """Probability of each class (Eq. 6), float64 (pairs, classes)."""
        return self.ranker.predict_proba(list(zip(questions, passages, strict=True))).astype(np.float64)

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Token ids per pair, special tokens included, after truncation."""
        return float(self.ranker.tokenizer.encode(questions, passages).lengths.mean())
