"""Teacher × shard → raw logits on disk (§3.1.1 step 2): the unit of restart and of parallel work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import read_shard, shard_path, write_shard
from tmkd.errors import TmkdError
from tmkd.metrics.agreement import kendall_tau
from tmkd.teachers.network import Network

COMPARED = 128  # pairs scored in fp32 too, to measure the cost of a lower precision


def score_shard(
    teacher: Network, corpus: Corpus, index: int, path: Path, teacher_digest: str, done: Callable[[int], None]
) -> None:
    """Score one shard: logits float32 (pairs, classes) in raw logits, a function of teacher and shard alone."""
    table = corpus.shard(index)
    logits = teacher.logits(table["question"].to_pylist(), table["passage"].to_pylist(), done)
    write_shard(path, logits, teacher_digest, corpus.shards[index].digest)


def score_shards(
    teacher: Network,
    corpus: Corpus,
    todo: Sequence[int],
    folder: Path,
    teacher_digest: str,
    report: Callable[[int, int], None],
) -> int:
    """Score these shards of a corpus, one file each; returns the pairs in them.

    `report` is called with the pairs done and the pairs in all.
    """
    total, done = sum(corpus.shards[index].rows for index in todo), 0

    def count(batch: int) -> None:
        nonlocal done
        done += batch
        report(done, total)

    for index in todo:
        path = shard_path(folder, teacher_digest, corpus.shards[index].digest)
        score_shard(teacher, corpus, index, path, teacher_digest, count)
    return total


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


def unscored(corpus: Corpus, folder: Path, teacher_digest: str) -> list[int]:
    """The shards this teacher has not scored yet, or whose stored logits are damaged."""
    classes = len(corpus.labels.names)
    return [
        index
        for index, shard in enumerate(corpus.shards)
        if not _readable(
            shard_path(folder, teacher_digest, shard.digest), teacher_digest, shard.digest, shard.rows, classes
        )
    ]


def _readable(path: Path, teacher_digest: str, shard_digest: str, rows: int, classes: int) -> bool:
    if not path.is_file():
        return False
    try:
        read_shard(path, teacher_digest, shard_digest, rows, classes)
    except TmkdError:
        return False
    return True


def remove_stale(folder: Path, corpus: Corpus, teacher_digest: str) -> None:
    """Remove logits of shards that the corpus no longer has, and of other teachers."""
    kept = {shard_path(folder, teacher_digest, shard.digest) for shard in corpus.shards}
    for path in folder.glob("*.safetensors"):
        if path not in kept:
            path.unlink()
