"""Origin of answers: digests and settings of all that decides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tmkd.bundle.format import Engine, Precision, Width, engine_words
from tmkd.store import digest_json


@dataclass(frozen=True, slots=True)
class ScoredBy:
    """Origin of scored candidates: the bundle and its engine, the index, candidates per question, answers kept of them.

    `bundle` and `index` are the digests of their manifests, 64 hexadecimal digits.
    """

    bundle: str
    precision: Precision
    engine: Engine
    width: Width | None
    index: str
    top: int
    keep: int

    @property
    def engine_words(self) -> str:
        """Precision, engine and width in words, such as `int8, kernel, 2 bytes`."""
        return engine_words(self.precision, self.engine, self.width)


@dataclass(frozen=True, slots=True)
class StoreOrigin:
    """Origin of an answer store: how its answers were scored, and the smallest score of an answer."""

    scored_by: ScoredBy
    threshold: float

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> StoreOrigin:
        """Origin from its JSON.  Raises: KeyError, TypeError or ValueError for anything else."""
        return cls(ScoredBy(**content["scored_by"]), float(content["threshold"]))

    @property
    def digest(self) -> str:
        """SHA-256 of all fields, 64 hexadecimal digits."""
        return digest_json(asdict(self))
