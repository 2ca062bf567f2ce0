"""A teacher whose scores were made elsewhere: matched with a corpus pair by pair."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tmkd import recipe
from tmkd.errors import TmkdError
from tmkd.pairs import Corpus, LabelSet, pair_id
from tmkd.softlabels import logits_from, shard_path, write_shard
from tmkd.sources import read_columns

STORED = "scores.parquet"


def read_scores(teacher: recipe.Teacher, labels: LabelSet, base: Path) -> tuple[dict[str, int], np.ndarray]:
    """Read a file of question, passage and scores: pair id → row, and logits float32 (rows, classes).

    A score s is the pair (0, s), a probability p is (0, log p/(1-p)); C columns may hold logits or probabilities.
    Raises: TmkdError naming file and row for NaN, a wrong number of columns, or a pair scored twice differently.
    """
    assert teacher.file is not None
    source = teacher.file
    table = read_columns(source, base, teacher.score_columns)
    values = np.column_stack([table[column].to_numpy().astype(np.float64) for column in teacher.score_columns])
    try:
        logits = logits_from(values, teacher.imported, len(labels.names))
    except TmkdError as error:
        raise TmkdError(f"{source.file}: {error}") from error
    if labels.positive_index == 0 and values.shape[1] == 1:
        logits = np.ascontiguousarray(logits[:, ::-1])
    first: dict[str, int] = {}
    for row, (question, passage) in enumerate(
        zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True)
    ):
        before = first.setdefault(pair_id(question, passage), row)
        if not np.array_equal(logits[before], logits[row]):
            raise TmkdError(f"{source.file}: rows {before + 1} and {row + 1} score the same pair differently; keep one")
    return first, logits


def store_scores(teacher: recipe.Teacher, labels: LabelSet, folder: Path, base: Path) -> dict[str, int]:
    """Write a file's scores as `scores.parquet`: id, logits (classes); each pair once. Raises: as `read_scores`."""
    first, logits = read_scores(teacher, labels, base)
    kept = np.fromiter(first.values(), dtype=np.int64, count=len(first))
    column = pa.array(list(logits[kept]), type=pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": pa.array(list(first)), "logits": column}), folder / STORED, compression="zstd")
    return {"scores": len(first), "duplicates": len(logits) - len(first)}


def match_scores(
    name: str, stored: Path, corpus: Corpus, indices: Iterable[int], folder: Path, teacher_digest: str, missing: str
) -> int:
    """Write the soft labels of some shards from imported scores; returns how many pairs had none.

    Raises: TmkdError naming the first pair without a score, unless `missing` is "drop".
    """
    table = pq.read_table(stored / STORED)
    logits = np.stack(table["logits"].to_numpy()).astype(np.float32)
    place = {key: row for row, key in enumerate(table["id"].to_pylist())}
    gaps = 0
    for index in indices:
        shard = corpus.shard(index)
        rows = np.array([place.get(key, -1) for key in shard["id"].to_pylist()])
        absent = rows < 0
        if absent.any() and missing == "error":
            pair = shard.slice(int(absent.argmax()), 1).to_pylist()[0]
            raise TmkdError(
                f"teacher {name}: no imported score for the pair '{pair['question'][:60]}' / '{pair['passage'][:60]}' "
                f"({pair['source']}); add it to the file or set missing: drop"
            )
        scores = logits[rows]
        scores[absent] = np.nan
        gaps += int(absent.sum())
        digest = corpus.shards[index].digest
        write_shard(
            shard_path(folder, teacher_digest, digest), scores, teacher_digest, digest, missing=int(absent.sum())
        )
    return gaps
