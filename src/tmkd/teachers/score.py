"""Teacher × shard → raw logits on disk (§3.1.1 step 2): the unit of restart and of parallel work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, Shard
from tmkd.data.softlabels import read_shard, shard_path, write_shard
from tmkd.engines.engine import Engine, OnlyHere, PieceFiles, Work
from tmkd.errors import TmkdError
from tmkd.metrics.agreement import kendall_tau
from tmkd.teachers.network import Network

COMPARED = 128  # pairs scored in fp32 too, to measure the cost of a lower precision


def score_shard(
    teacher: Network, corpus: Corpus, index: int, pairs: int, path: Path, digest: str, done: Callable[[int], None]
) -> None:
    """Score the first `pairs` of one shard: raw logits, float32 (rows, classes); the other rows are NaN.

    They are a function of teacher and shard alone; `digest` is the teacher's.
    """
    shard = corpus.shards[index]
    table = corpus.shard(index).slice(0, pairs)
    logits = np.full((shard.rows, len(corpus.labels.names)), np.nan, dtype=np.float32)
    if pairs:
        logits[:pairs] = teacher.logits(table["question"].to_pylist(), table["passage"].to_pylist(), done)
    write_shard(path, logits, digest, shard.digest, missing=shard.rows - pairs)


def _wanted(corpus: Corpus, first: int | None) -> list[int]:
    """Pairs of each shard that are scored where a teacher scores the `first` pairs of a corpus; None: all."""
    left = len(corpus) if first is None else first
    found = []
    for shard in corpus.shards:
        found.append(min(shard.rows, left))
        left -= found[-1]
    return found


class ToScore(NamedTuple):
    """Shard, and how many of its pairs to score, the first ones; with `price` its precision is compared with fp32."""

    shard: Shard
    pairs: int
    price: bool = False


class Scored(NamedTuple):
    """Precision in which a shard was scored, and what that costs (empty unless it was asked for)."""

    precision: str
    price: dict[str, float]


class Opener(NamedTuple):
    """Function that opens a teacher in any process, whether it takes a CUDA device, and the artifacts that it reads."""

    call: Callable[[], Network]
    cuda: bool = False
    reads: tuple[Path, ...] = ()


def scorer(
    opened: Callable[[], Network],
    corpus: Path,
    labels: LabelSet,
    folder: Path,
    digest: str,
    done: Callable[[int], None],
) -> Callable[[ToScore], Scored]:
    """Build the function that scores a shard of the corpus in a folder: one file in `folder`.

    `opened` opens the teacher, `digest` is its digest; `done` is called with the pairs of each batch.
    """
    teacher = opened()

    def score(piece: ToScore) -> Scored:
        own = Corpus(corpus, labels, (piece.shard,))
        if piece.price:
            return Scored(teacher.hardware.precision, price_of_precision(teacher, own))
        score_shard(teacher, own, 0, piece.pairs, shard_path(folder, digest, piece.shard.digest), digest, done)
        return Scored(teacher.hardware.precision, {})

    return score


def score_shards(
    opener: Opener,
    corpus: Corpus,
    todo: Sequence[int],
    folder: Path,
    teacher_digest: str,
    engine: Engine,
    report: Callable[[int, int], None],
    first: int | None = None,
) -> dict[str, Any]:
    """Score these shards of a corpus, one file each, as far as they are among its `first` pairs.

    `opener` opens the teacher, once a worker of the engine. `report` is called with the pairs done and the pairs in
    all. Returns facts: pairs scored, the precision, and its price on the corpus's first pairs.
    Raises: TmkdError when workers compute in different precisions.
    """
    wanted = _wanted(corpus, first)
    pieces = [ToScore(corpus.shards[index], wanted[index]) for index in todo]
    total = sum(piece.pairs for piece in pieces)
    counted = finished = 0

    def count(batch: int) -> None:
        nonlocal counted
        counted += batch
        report(counted, total)

    def files(piece: ToScore) -> PieceFiles:
        logits = shard_path(folder, teacher_digest, piece.shard.digest)
        return PieceFiles((corpus.folder / piece.shard.name,), () if piece.price else (logits,))

    pieces.append(ToScore(corpus.shards[0], 0, price=True))
    given = (opener.call, corpus.folder, corpus.labels, folder, teacher_digest, OnlyHere(count))
    work = Work(
        scorer, given, lambda piece: piece.shard.name, files, opener.reads,
        threaded=True, spread=False, cuda=opener.cuda,
    )  # fmt: skip
    precisions: set[str] = set()
    price: dict[str, float] = {}
    for place, scored in engine.map(work, pieces, len(todo)):
        precisions.add(scored.precision)
        if len(precisions) > 1:
            raise TmkdError(
                f"workers score in {' and '.join(sorted(precisions))}; set precision to one of them in the recipe"
            )
        price |= scored.price
        finished += pieces[place].pairs
        if finished > counted:  # by other processes
            count(finished - counted)
    return {"scored_now": total, "precision": precisions.pop(), **price}


def price_of_precision(teacher: Network, corpus: Corpus) -> dict[str, float]:
    """Cost of the teacher's precision against fp32 on the corpus's first pairs; empty for fp32 itself.

    The largest and mean |Δ logit|, and Kendall's τ of the last class's logit over the first's (none if all are tied).
    """
    if teacher.hardware.precision == "fp32" or not corpus.shards:
        return {}
    table = corpus.shard(0).slice(0, COMPARED)
    texts = table["question"].to_pylist(), table["passage"].to_pylist()
    own = teacher.logits(*texts)
    exact = teacher.at(replace(teacher.hardware, precision="fp32")).logits(*texts)
    away, (a, b) = np.abs(exact - own), (logits[:, -1] - logits[:, 0] for logits in (exact, own))
    differences = {
        "largest_difference": float(away.max()),
        "mean_difference": float(away.mean()),
        "tau": kendall_tau(a, b),
    }
    return {f"{teacher.hardware.precision}_{name}": value for name, value in differences.items() if not np.isnan(value)}


def unscored(corpus: Corpus, folder: Path, teacher_digest: str, first: int | None = None) -> list[int]:
    """The shards this teacher has not scored yet, as far as they are among the `first` pairs; damaged files count."""
    wanted = _wanted(corpus, first)
    return [
        index for index, pairs in enumerate(wanted) if _stored(corpus, index, pairs, folder, teacher_digest) is None
    ]


def copy_scores(
    corpus: Corpus, todo: Sequence[int], folder: Path, others: Sequence[Path], teacher_digest: str, first: int | None
) -> list[int]:
    """Copy the logits of shards that this teacher has scored in another corpus too; returns those still to be scored.

    `others` are the folders of its logits of other corpora: the smaller of two corpora may be a part of the larger one.
    """
    left, wanted = [], _wanted(corpus, first)
    for index in todo:
        stored = (_stored(corpus, index, wanted[index], other, teacher_digest) for other in others)
        found = next((logits for logits in stored if logits is not None), None)
        if found is None:
            left.append(index)
        else:
            digest = corpus.shards[index].digest
            path = shard_path(folder, teacher_digest, digest)
            write_shard(path, found, teacher_digest, digest, missing=len(found) - wanted[index])
    return left


def _stored(corpus: Corpus, index: int, pairs: int, folder: Path, teacher_digest: str) -> np.ndarray | None:
    """Logits of a shard in a folder, float32 (rows, classes), if its first `pairs` are scored and no others."""
    shard = corpus.shards[index]
    path = shard_path(folder, teacher_digest, shard.digest)
    try:
        logits = read_shard(path, teacher_digest, shard.digest, shard.rows, len(corpus.labels.names))
    except TmkdError:
        return None
    scored = np.isfinite(logits).all(axis=1)
    return logits if scored[:pairs].all() and not scored[pairs:].any() else None


def remove_stale(folder: Path, corpus: Corpus, teacher_digest: str) -> None:
    """Remove logits of shards that the corpus no longer has, and of other teachers."""
    kept = {shard_path(folder, teacher_digest, shard.digest) for shard in corpus.shards}
    for path in folder.glob("*.safetensors"):
        if path not in kept:
            path.unlink()
