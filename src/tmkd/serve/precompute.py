"""Answers computed offline (§1): candidates of each question, scored by the bundle, the best ones kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tmkd.bundle import Ranker
from tmkd.engines.engine import Engine, PieceFiles, Work
from tmkd.errors import TmkdError
from tmkd.progress import Report
from tmkd.search.candidates import Candidate, candidates
from tmkd.search.index import TantivyIndex
from tmkd.serve.answer_shards import (
    QUESTIONS,
    SHARDS,
    Answered,
    Asked,
    Scored,
    ShardOrigin,
    asked_digest,
    read_shard,
    shard_name,
    shard_origin,
    write_run,
    write_shard,
)
from tmkd.serve.store_origin import ScoredBy
from tmkd.store import sealed

_FACTS = ("questions", "scored_questions", "scored_pairs")


@dataclass(frozen=True)
class Answering:
    """Offline answers: `top` documents of an index folder, scored by a bundle, the best `keep` passages kept."""

    bundle: Path
    index: Path
    top: int
    keep: int

    def scored_by(self, ranker: Ranker) -> ScoredBy:
        """Origin of what a ranker, opened from the bundle, scores."""
        engine = (ranker.precision, ranker.engine, ranker.width)
        return ScoredBy(sealed(self.bundle).digest, *engine, sealed(self.index).digest, self.top, self.keep)


class _ToAnswer(NamedTuple):
    """Questions of a shard, and the path of its file."""

    path: Path
    asked: list[Asked]


def precompute(
    answering: Answering, questions: pa.Table, folder: Path, report: Report, engine: Engine
) -> dict[str, object]:
    """Answer questions (group, question: string), write shards of them and a TREC run into `folder`; return counts.

    The engine's workers each do a shard at a time: they retrieve its candidates and score them. What a shard has
    answered already, by the same bundle and engine of it, is not scored again.
    Raises: TmkdError when there is no question, or a shard was scored by another engine; OSError when the disk is full.
    """
    if not questions.num_rows:
        raise TmkdError("precompute: there is no question to answer; see serve.questions in the recipe")
    scored_by = answering.scored_by(Ranker(answering.bundle))
    shards = _Shards(folder, questions, scored_by)
    left = [number for number in range(len(shards)) if not shards.done(number)]
    total = sum(len(shards.asked(number)) for number in left)
    counts = Counter(dict.fromkeys(_FACTS, 0) | {"questions": questions.num_rows})
    reads = answering.bundle, answering.index
    work = Work(answerer, (answering, scored_by), lambda piece: piece.path.name, _files, reads, threaded=True)
    for _, one in engine.map(work, map(shards.piece, left), len(left)):
        counts.update(one)
        report(counts["asked"], total)
    shards.remove_others()
    write_run(folder)
    del counts["asked"]
    return {**counts, "engine": scored_by.engine_words}


def _files(piece: _ToAnswer) -> PieceFiles:
    return PieceFiles((piece.path,) if piece.path.is_file() else (), (piece.path,))


def answerer(answering: Answering, scored_by: ScoredBy) -> Callable[[_ToAnswer], Counter[str]]:
    """Build the function that answers the questions of a shard, writes its file, and returns counts.

    Raises: TmkdError where the bundle cannot be computed as `scored_by` says.
    """
    ranker = Ranker(answering.bundle, scored_by.precision, engine=scored_by.engine, width=scored_by.width)
    index = TantivyIndex(answering.index)

    def answer(piece: _ToAnswer) -> Counter[str]:
        origin = shard_origin(piece.path)
        same = origin is not None and origin.scored_by == scored_by
        answered = dict(read_shard(piece.path)) if same else {}
        new = [one for one in piece.asked if one not in answered]
        found = [candidates(index, one.question, answering.top) for one in new]
        answered |= zip(new, _best(ranker, found, answering.keep), strict=True)
        write_shard(piece.path, scored_by, [Answered(one, answered[one]) for one in piece.asked])
        return Counter(asked=len(piece.asked), scored_questions=len(found), scored_pairs=sum(map(len, found)))

    return answer


class _Shards:
    """Shards of a folder: slices of the questions, 1,024 each, and their files."""

    def __init__(self, folder: Path, questions: pa.Table, scored_by: ScoredBy) -> None:
        self._folder, self._questions, self._scored_by = folder, questions, scored_by

    def __len__(self) -> int:
        return -(-self._questions.num_rows // QUESTIONS)

    def _path(self, number: int) -> Path:
        return self._folder / shard_name(number)

    def asked(self, number: int) -> list[Asked]:
        """Questions of a shard."""
        rows = self._questions.slice(number * QUESTIONS, QUESTIONS)
        return [Asked(*row) for row in zip(*(rows[name].to_pylist() for name in Asked._fields), strict=True)]

    def _same_engine(self, number: int) -> ShardOrigin | None:
        """Origin of a shard that is there and scored as now.  Raises: TmkdError for one of another engine."""
        now, origin = self._scored_by, shard_origin(self._path(number))
        if origin is None or origin.scored_by == now:
            return origin
        if replace(origin.scored_by, precision=now.precision, engine=now.engine, width=now.width) == now:
            raise TmkdError(
                f"{self._path(number)} was scored by {origin.scored_by.engine_words}, this machine takes "
                f"{now.engine_words}; go on where it was begun, or remove {self._folder}"
            )
        return None

    def done(self, number: int) -> bool:
        """Whether a shard is there with just its questions."""
        origin = self._same_engine(number)
        return origin is not None and origin.asked == asked_digest(self.asked(number))

    def piece(self, number: int) -> _ToAnswer:
        """Questions of a shard, and the path of its file."""
        return _ToAnswer(self._path(number), self.asked(number))

    def remove_others(self) -> None:
        """Remove shards of an earlier, longer list of questions."""
        for path in {*self._folder.glob(SHARDS)} - {self._path(number) for number in range(len(self))}:
            path.unlink()


def _best(ranker: Ranker, found: Sequence[Sequence[Candidate]], keep: int) -> Iterator[tuple[Scored, ...]]:
    """The best `keep` candidates of each question; equal scores in retrieval order."""
    pairs = [(one.question, one.passage) for its in found for one in its]
    scores = ranker.predict_proba(pairs)[:, ranker.bundle.labels.positive_index]
    start = 0
    for its in found:
        own = scores[start : start + len(its)]
        start += len(its)
        order = np.argsort(-own, kind="stable")[:keep]
        yield tuple(Scored(its[row].passage, its[row].url, float(own[row]), its[row].number) for row in order)
