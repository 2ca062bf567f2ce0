"""Answers computed offline (§1): candidates of each question, scored by the bundle, the best ones kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tmkd.bundle import Ranker
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
from tmkd.workers import map_in_processes

_FACTS = ("questions", "scored_questions", "scored_pairs")
_SCORED_AT_ONCE = 2  # shards: one is tokenised while the other is computed


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


class _Piece(NamedTuple):
    """Questions of one shard, and the answers that an earlier run found to some of them."""

    number: int
    asked: list[Asked]
    known: dict[Asked, tuple[Scored, ...]]

    @property
    def new(self) -> list[Asked]:
        return [one for one in self.asked if one not in self.known]


def precompute(
    answering: Answering, questions: pa.Table, folder: Path, report: Report, processes: int
) -> dict[str, object]:
    """Answer questions (group, question: string), write shards of them and a TREC run into `folder`; return counts.

    Candidates are retrieved by some processes, beside the scoring on a thread per core. What a shard has answered
    already, by the same bundle and engine, is not scored again.
    Raises: TmkdError when there is no question, or a shard was scored by another engine; OSError when the disk is full.
    """
    if not questions.num_rows:
        raise TmkdError("precompute: there is no question to answer; see serve.questions in the recipe")
    ranker = Ranker(answering.bundle)
    scored_by = answering.scored_by(ranker)
    shards = _Shards(folder, questions, scored_by)
    left = [number for number in range(len(shards)) if not shards.done(number)]
    total = sum(len(shards.asked(number)) for number in left)
    counts = Counter(dict.fromkeys(_FACTS, 0) | {"questions": questions.num_rows})

    def score(piece: _Piece, found: Sequence[Sequence[Candidate]]) -> Counter[str]:
        best = _best(ranker, found, answering.keep)
        answered = piece.known | dict(zip(piece.new, best, strict=True))
        shards.write(piece.number, [Answered(one, answered[one]) for one in piece.asked])
        pairs = sum(map(len, found))
        return Counter(asked=len(piece.asked), scored_questions=len(found), scored_pairs=pairs)

    with ThreadPoolExecutor(_SCORED_AT_ONCE) as pool:
        pieces = map(shards.piece, left)
        found = map_in_processes(_search, (answering.index, answering.top), pieces, min(processes, len(left)))
        for one in _at_most(_SCORED_AT_ONCE + 1, (pool.submit(score, *piece) for piece in found)):
            counts.update(one)
            report(counts["asked"], total)
    shards.remove_others()
    write_run(folder)
    del counts["asked"]
    return {**counts, "engine": scored_by.engine_words}


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

    def piece(self, number: int) -> _Piece:
        """Questions of a shard, with the answers that its file has."""
        known = dict(read_shard(self._path(number))) if self._same_engine(number) is not None else {}
        return _Piece(number, self.asked(number), known)

    def write(self, number: int, answered: Sequence[Answered]) -> None:
        """Write a shard."""
        write_shard(self._path(number), self._scored_by, answered)

    def remove_others(self) -> None:
        """Remove shards of an earlier, longer list of questions."""
        for path in {*self._folder.glob(SHARDS)} - {self._path(number) for number in range(len(self))}:
            path.unlink()


def _search(index: Path, top: int) -> Callable[[_Piece], tuple[_Piece, list[list[Candidate]]]]:
    """Build the function that retrieves the candidates of a piece's new questions."""
    opened = TantivyIndex(index)

    def search(piece: _Piece) -> tuple[_Piece, list[list[Candidate]]]:
        return piece, [candidates(opened, one.question, top) for one in piece.new]

    return search


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


def _at_most(waiting: int, futures: Iterator[Future[Counter[str]]]) -> Iterator[Counter[str]]:
    """Results of futures in order; at most some are submitted and not taken."""
    running: deque[Future[Counter[str]]] = deque()
    for future in futures:
        running.append(future)
        if len(running) == waiting:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
