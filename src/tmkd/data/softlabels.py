"""Soft labels: teachers' raw logits aligned with a corpus, one file per (teacher, shard)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tmkd.data.pairs import Corpus
from tmkd.errors import TmkdError
from tmkd.store import digest_bytes, digest_json, write_atomic

CLIP = 1e-4  # probabilities are clipped to [CLIP, 1 − CLIP], so that logits stay finite
_DOMINANT = 4.0  # ratio of a teacher's logit variance to the median of the others above which it dominates Eq. 4


def shard_path(folder: Path, teacher_digest: str, shard_digest: str) -> Path:
    """Path of one teacher's logits of one shard."""
    return folder / f"{teacher_digest[:16]}-{shard_digest[:16]}.safetensors"


def write_shard(path: Path, logits: np.ndarray, teacher_digest: str, shard_digest: str, *, missing: int = 0) -> None:
    """Write one teacher's raw logits, float32 (pairs, classes), atomically; equal logits give equal bytes.

    `missing` is the number of pairs without a score: their rows are NaN in every class, no others.
    Raises: TmkdError for any other NaN or infinite logit, naming the row.
    """
    values = np.ascontiguousarray(logits, dtype=np.float32)
    _check_finite(values, missing, str(path))
    facts = {
        "teacher": teacher_digest,
        "shard": shard_digest,
        "sha256": digest_bytes(values.tobytes()),
        "missing": missing,
    }
    # One entry only: safetensors writes several in an order that changes from process to process.
    write_atomic(path, save({"logits": values}, metadata={"tmkd": json.dumps(facts)}))


def read_shard(path: Path, teacher_digest: str, shard_digest: str, rows: int, classes: int) -> np.ndarray:
    """Read one teacher's raw logits, float32 (rows, classes); a row without a score is NaN.

    Raises: TmkdError when the file is missing or damaged, or belongs to another teacher, shard or number of classes.
    """
    again = "remove it and score again"
    if not path.is_file():
        raise TmkdError(f"{path}: missing; score again")
    try:
        with safe_open(path, framework="np") as file:
            facts = json.loads((file.metadata() or {})["tmkd"])
            values: np.ndarray = file.get_tensor("logits")
        teacher, shard, sha256, missing = (facts[key] for key in ("teacher", "shard", "sha256", "missing"))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise TmkdError(f"{path}: not a readable soft-label file ({error}); {again}") from None
    for what, found, wanted in (("teacher", teacher, teacher_digest), ("shard", shard, shard_digest)):
        if found != wanted:
            raise TmkdError(f"{path}: holds logits of another {what} ({str(found)[:16]}, not {wanted[:16]}); {again}")
    if digest_bytes(values.tobytes()) != sha256:
        raise TmkdError(f"{path}: its logits do not match their digest; {again}")
    if values.dtype != np.float32 or values.shape != (rows, classes):
        raise TmkdError(
            f"{path}: holds {values.dtype} logits of shape {values.shape}, not float32 of ({rows}, {classes}); {again}"
        )
    _check_finite(values, missing, str(path))
    return values


def _check_finite(logits: np.ndarray, missing: int, where: str) -> None:
    """Check that all rows are finite, except `missing` rows that are NaN in every class."""
    absent = np.isnan(logits).all(axis=1)
    wrong = ~np.isfinite(logits).all(axis=1)
    if missing:
        wrong &= ~absent
    if wrong.any():
        row = int(wrong.argmax())
        raise TmkdError(f"{where}: row {row + 1}: NaN or infinite logit {logits[row].tolist()}")
    if absent.sum() != missing:
        raise TmkdError(f"{where}: {int(absent.sum())} rows have no score, but the file's header says {missing}")


@dataclass(frozen=True)
class TeacherColumn:
    """Stored logits of one teacher: name in the recipe, digest, folder."""

    name: str
    digest: str
    folder: Path


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Raw logits of several teachers for all pairs of a corpus, in order.

    logits float32 (pairs, teachers, classes); NaN in every class for a missing score.
    """

    logits: np.ndarray
    teachers: tuple[str, ...]
    digests: tuple[str, ...]

    @classmethod
    def load(cls, corpus: Corpus, columns: Sequence[TeacherColumn]) -> SoftLabels:
        """Read the teachers' files of all shards; raises as `read_shard` does, naming the teacher."""
        whole = cls.unread(len(corpus), corpus, columns)
        start = 0
        for index, shard in enumerate(corpus.shards):
            whole.logits[start : start + shard.rows] = cls.of_shard(corpus, index, columns).logits
            start += shard.rows
        return whole

    @classmethod
    def of_shard(cls, corpus: Corpus, index: int, columns: Sequence[TeacherColumn]) -> SoftLabels:
        """Read the teachers' files of one shard; raises as `load`."""
        shard = corpus.shards[index]
        soft = cls.unread(shard.rows, corpus, columns)
        for place, column in enumerate(columns):
            path = shard_path(column.folder, column.digest, shard.digest)
            try:
                values = read_shard(path, column.digest, shard.digest, shard.rows, len(corpus.labels.names))
            except TmkdError as error:
                raise TmkdError(f"teacher {column.name}: {error}") from None
            soft.logits[:, place] = values
        return soft

    @classmethod
    def unread(cls, pairs: int, corpus: Corpus, columns: Sequence[TeacherColumn]) -> SoftLabels:
        """Space for these teachers' logits of so many pairs."""
        logits = np.empty((pairs, len(columns), len(corpus.labels.names)), dtype=np.float32)
        return cls(logits, tuple(column.name for column in columns), tuple(column.digest for column in columns))

    def only(self, names: Sequence[str]) -> SoftLabels:
        """Select teachers by name, in this order.

        Raises: TmkdError for an unknown name.
        """
        for name in names:
            if name not in self.teachers:
                raise TmkdError(f"no soft labels of teacher '{name}'; there are those of {', '.join(self.teachers)}")
        places = [self.teachers.index(name) for name in names]
        return SoftLabels(self.logits[:, places], tuple(names), tuple(self.digests[place] for place in places))

    def mean(self) -> SoftLabels:
        """Average the teachers' logits into one teacher `mean` (1avg-o-1); NaN where any score is missing."""
        average = self.logits.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
        return SoftLabels(average, ("mean",), (digest_json(list(self.digests)),))

    @property
    def scored(self) -> np.ndarray:
        """Mask of the scores that are there, bool (pairs, teachers)."""
        return np.asarray(np.isfinite(self.logits).all(axis=2))

    @property
    def complete(self) -> np.ndarray:
        """Mask of the pairs that every teacher has scored, bool (pairs,)."""
        return np.asarray(self.scored.all(axis=1))


def logits_from(
    values: np.ndarray,
    kind: Literal["score", "probability", "logits"],
    classes: int,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Convert imported scores, (pairs, columns), to raw logits, float32 (pairs, classes).

    A score s in logit space becomes (0, s); a probability p becomes (0, log p/(1-p)), p clipped to [1e-4, 1-1e-4]; one
    probability per class becomes log p, clipped likewise; logits are unchanged.
    Raises: TmkdError for a wrong number of columns, and naming the row for NaN, infinity, or p outside [0, 1]; `rows`
    are the row numbers for these errors (default: from 1).
    """
    row_numbers = np.arange(1, len(values) + 1) if rows is None else rows
    numbers = np.asarray(values, dtype=np.float64)
    columns = numbers.shape[1]
    single = kind == "score" or (kind == "probability" and columns == 1)
    if columns != (1 if single else classes) or (single and classes != 2):
        raise TmkdError(f"{columns} column(s) of kind {kind} cannot be logits of {classes} classes")
    finite = np.abs(numbers) <= np.finfo(np.float32).max
    _require_none(~finite, numbers, row_numbers, f"{kind} must be finite")
    if kind == "probability":
        _require_none((numbers < 0) | (numbers > 1), numbers, row_numbers, "probability must lie in [0, 1]")
        clipped = numbers.clip(CLIP, 1 - CLIP)
        numbers = np.log(clipped) - np.log1p(-clipped) if single else np.log(clipped)
    if single:
        numbers = np.column_stack([np.zeros(len(numbers)), numbers])
    return numbers.astype(np.float32)


def _require_none(wrong: np.ndarray, numbers: np.ndarray, row_numbers: np.ndarray, rule: str) -> None:
    rows = np.flatnonzero(wrong.any(axis=1))
    if len(rows):
        row = int(rows[0])
        raise TmkdError(f"row {row_numbers[row]}: {float(numbers[row][wrong[row]][0])}; {rule}")


@dataclass(frozen=True)
class Health:
    """Statistics of a teacher's logits on the pairs it scored.

    `accuracy` on the labelled pairs, None without any; `mean` of all logits; `spread`: root of their variance over
    pairs, averaged over classes; `constant`: share of pairs with the most frequent output (rounded to 1e-4);
    `agreement`: per other teacher, the share of pairs where both predict the same class.
    """

    teacher: str
    accuracy: float | None
    mean: float
    spread: float
    constant: float
    agreement: dict[str, float]


def health(labels: np.ndarray | None, soft: SoftLabels) -> list[Health]:
    """Compute the statistics of every teacher; labels int64 (pairs,), -1 = unlabelled.

    Raises: TmkdError when a teacher has scored no pair.
    """
    scored = np.isfinite(soft.logits).all(axis=2)
    chosen = np.where(scored, np.nan_to_num(soft.logits).argmax(axis=2), -1)
    for name, rows in zip(soft.teachers, scored.T, strict=True):
        if not rows.any():
            raise TmkdError(f"teacher {name}: has scored no pair of this corpus")
    return [_health(place, labels, soft, scored, chosen) for place in range(len(soft.teachers))]


def _health(place: int, labels: np.ndarray | None, soft: SoftLabels, scored: np.ndarray, chosen: np.ndarray) -> Health:
    logits = soft.logits[scored[:, place], place].astype(np.float64)
    known = scored[:, place] & (labels >= 0) if labels is not None else np.zeros(len(scored), dtype=bool)
    counts = np.unique(logits.round(4), axis=0, return_counts=True)[1]
    agreement = {}
    for other, name in enumerate(soft.teachers):
        both = scored[:, place] & scored[:, other]
        if other != place and both.any():
            agreement[name] = float((chosen[both, place] == chosen[both, other]).mean())
    return Health(
        teacher=soft.teachers[place],
        accuracy=float((chosen[known, place] == labels[known]).mean()) if labels is not None and known.any() else None,
        mean=float(logits.mean()),
        spread=float(np.sqrt(logits.var(axis=0).mean())),
        constant=float(counts.max() / len(logits)),
        agreement=agreement,
    )


def dominance_warning(healths: Sequence[Health]) -> str | None:
    """Warn of a teacher whose logit variance is over 4 times the median of the others': it dominates Eq. 4."""
    for one in healths:
        others = [other.spread**2 for other in healths if other is not one]
        if others and one.spread**2 > _DOMINANT * float(np.median(others)):
            return (
                f"teacher {one.teacher} dominates Eq. 4: the variance of its logits is {one.spread**2:.2f}, the median "
                f"of the others' {float(np.median(others)):.2f}; bring its scores to their scale or leave it out"
            )
    return None
