"""Imported scores: read in any layout, stored by pair, and matched with a corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.data.labels import LabelSet
from tmkd.data.layouts import read_layout
from tmkd.data.logit_fragment import read_logits
from tmkd.data.pairs import Corpus, pair_id
from tmkd.data.softlabels import logits_from, shard_path, write_shard
from tmkd.data.sources import read_columns
from tmkd.data.words import visible
from tmkd.errors import TmkdError
from tmkd.recipe import schema
from tmkd.recipe.agreement import FRAGMENT
from tmkd.recipe.parts import SourceSpec

STORED = "scores.parquet"
_SAME = 1e-6  # scores of one pair that differ by less are one score, written twice


def read_scores(
    source: SourceSpec, teacher: schema.TeacherSpec, labels: LabelSet, base: Path
) -> tuple[list[str], np.ndarray, dict[str, int]]:
    """Read a file of pairs and scores, in any layout: pair ids, each once, and logits float32 (pairs, classes).

    A fragment (.npz) has logits by the first digits of the pairs' ids.

    A score s is the pair (0, s), a probability p is (0, log p/(1-p)); C columns may hold logits or probabilities.
    Counts: `scores`, `duplicates` (rows whose pair was there already), `left_out` (pairs without text or score).
    Raises: TmkdError naming file and row for NaN, a wrong number of columns, or a pair scored twice differently, unless
    the teacher takes the mean of these.
    """
    if source.file.endswith(FRAGMENT):
        known, logits = read_logits(base / Path(source.file).expanduser(), labels)
        return known, logits, {"scores": len(known)}
    if source.layout == "rows":
        table, left_out = read_columns(source, base, teacher.score_columns), 0
        rows = np.arange(1, table.num_rows + 1)
    else:
        table, left_out = read_layout(source, base, scores=True, gaps=teacher.missing == "drop")
        rows = table["row"].to_numpy()
    if not table.num_rows:
        raise TmkdError(f"{source.file}: none of its pairs has both texts and a score")
    values = np.column_stack([table[column].to_numpy().astype(np.float64) for column in teacher.score_columns])
    ids, first, place = np.unique(_ids(table), return_index=True, return_inverse=True)
    with _naming(source.file):
        # Once for each row, so that an error names its row; then for each pair.
        logits_from(values, teacher.imported, len(labels.names), rows)
        values = _merged(values, first, place, rows, teacher.repeated)
        logits = logits_from(values, teacher.imported, len(labels.names))
    if labels.positive_index == 0 and values.shape[1] == 1:
        logits = np.ascontiguousarray(logits[:, ::-1])
    order = np.argsort(first)
    counts = {"scores": len(ids), "duplicates": len(rows) - len(ids)} | ({"left_out": left_out} if left_out else {})
    return ids[order].astype(str).tolist(), logits[order], counts


def _ids(table: pa.Table) -> np.ndarray:
    """The pairs' ids, bytes (rows,); of the texts only a piece at a time becomes Python's.

    With what is sorted by them a pair takes about 200 bytes (measured).
    """

    def every() -> Iterator[bytes]:
        for batch in table.select(["question", "passage"]).to_batches(1 << 14):
            plain = (one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in batch.columns)
            cleaned = ([visible(text).strip() for text in one.to_pylist()] for one in plain)
            yield from (pair_id(*pair).encode() for pair in zip(*cleaned, strict=True))

    return np.fromiter(every(), dtype="S32", count=table.num_rows)


def _merged(values: np.ndarray, first: np.ndarray, place: np.ndarray, rows: np.ndarray, repeated: str) -> np.ndarray:
    """One row of numbers per pair: `first` is each pair's first row, `place` each row's pair.

    Raises: TmkdError naming two rows that score one pair differently, unless `repeated` asks for the mean.
    """
    if repeated == "mean":
        counts = np.bincount(place)
        return np.column_stack([np.bincount(place, column) / counts for column in values.T])
    apart = np.abs(values - values[first[place]]).max(axis=1) > _SAME
    if apart.any():
        row = int(apart.argmax())
        raise TmkdError(
            f"rows {rows[first[place[row]]]} and {rows[row]} score the same pair differently; keep one, or set "
            "repeated: mean"
        )
    return values[first]


@contextmanager
def _naming(file: str) -> Iterator[None]:
    try:
        yield
    except TmkdError as error:
        raise TmkdError(f"{file}: {error}") from error


def store_scores(
    source: SourceSpec, teacher: schema.TeacherSpec, labels: LabelSet, folder: Path, base: Path
) -> dict[str, int]:
    """Write a file's scores as `scores.parquet`: id, logits (classes); each pair once. Raises: as `read_scores`."""
    ids, logits, counts = read_scores(source, teacher, labels, base)
    flat = pa.array(logits.ravel(), pa.float32())
    column = pa.ListArray.from_arrays(np.arange(0, logits.size + 1, logits.shape[1], dtype=np.int32), flat)
    pq.write_table(pa.table({"id": pa.array(ids), "logits": column}), folder / STORED, compression="zstd")
    return counts


def match_scores(name: str, stored: Path, corpus: Corpus, folder: Path, teacher_digest: str, missing: str) -> int:
    """Write a corpus's soft labels from imported scores; returns how many pairs had none.

    Raises: TmkdError naming the first pair without a score, unless `missing` is "drop".
    """
    table = pq.read_table(stored / STORED)
    logits = np.stack(table["logits"].to_numpy()).astype(np.float32)
    row_of = rows_by_id(table["id"].to_pylist())
    gaps = 0
    for index, entry in enumerate(corpus.shards):
        shard = corpus.shard(index)
        if missing == "error":
            require_scores(name, row_of, shard)
        rows = np.array([row_of(key) for key in shard["id"].to_pylist()])
        absent = rows < 0
        scores = logits[rows]
        scores[absent] = np.nan
        gaps += int(absent.sum())
        path = shard_path(folder, teacher_digest, entry.digest)
        write_shard(path, scores, teacher_digest, entry.digest, missing=int(absent.sum()))
    return gaps


def rows_by_id(ids: Sequence[str]) -> Callable[[str], int]:
    """Function from a pair's id to its row among `ids`, −1 without one; `ids` may be cut to their first digits."""
    place = {key: row for row, key in enumerate(ids)}
    digits = len(next(iter(ids), ""))
    return lambda key: place.get(key[:digits], -1)


def require_scores(name: str, row_of: Callable[[str], int], table: pa.Table) -> None:
    """Check that all pairs have a score; `row_of` is `rows_by_id`'s. Raises: TmkdError naming the first without one."""
    for row, key in enumerate(table["id"].to_pylist()):
        if row_of(key) < 0:
            pair = table.slice(row, 1).to_pylist()[0]
            raise TmkdError(
                f"teacher {name}: no imported score for the pair '{pair['question'][:60]}' / '{pair['passage'][:60]}' "
                f"({pair['source']}); add it to the file or set missing: drop"
            )
