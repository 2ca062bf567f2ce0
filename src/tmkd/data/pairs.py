"""The data model: Pair, and Corpus (immutable Parquet shards and corpus.json)."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.data.labels import LabelSet
from tmkd.data.words import normalised
from tmkd.errors import TmkdError
from tmkd.store import digest_bytes, digest_json, json_bytes, write_atomic

CORPUS = "corpus.json"

# One row per pair. EXTRAS are the retrieval columns of a collected corpus.
SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("question", pa.string()),
        pa.field("passage", pa.string()),
        pa.field("label", pa.int8()),
        pa.field("source", pa.string()),
        pa.field("group", pa.string()),
    ]
)
# Relevance grade of a judged pair, at least 0: only where its source names such a column.
GRADE: pa.Field = pa.field("grade", pa.float32())
EXTRAS: pa.Schema = pa.schema(
    [pa.field("url", pa.string()), pa.field("rank", pa.int32()), pa.field("score", pa.float32())]
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A text pair: question and passage, or premise and hypothesis.

    `id` is the digest of both texts, `label` a class index or None, `source` the name of its source file, `group` the
    id of the question whose passages are ranked together.
    """

    id: str
    question: str
    passage: str
    label: int | None
    source: str
    group: str


def pair_id(question: str, passage: str) -> str:
    """Key of a pair: 32 hexadecimal digits of a SHA-256 over both texts.

    The length of the first text is hashed too, so that moving characters between the texts changes the key.
    """
    first, second = (text.encode("utf-8", "surrogatepass") for text in (question, passage))
    return hashlib.sha256(b"%d:%b%b" % (len(first), first, second)).hexdigest()[:32]


def question_group(question: str) -> str:
    """Default group of a pair: 32 hexadecimal digits of the normalised question's digest."""
    return digest_bytes((normalised(question) or question).encode("utf-8", "surrogatepass"))[:32]


def pair_table(
    questions: Sequence[str],
    passages: Sequence[str],
    labels: Sequence[int | None] | None = None,
    source: str = "",
    groups: Sequence[str | None] | None = None,
) -> pa.Table:
    """Build a table of SCHEMA from texts: ids are computed, and a missing group is the question's."""
    ids = [pair_id(question, passage) for question, passage in zip(questions, passages, strict=True)]
    given = groups if groups is not None else [None] * len(ids)
    return pa.table(
        {
            "id": ids,
            "question": questions,
            "passage": passages,
            "label": labels if labels is not None else [None] * len(ids),
            "source": [source] * len(ids),
            "group": [group or question_group(question) for group, question in zip(given, questions, strict=True)],
        },
        schema=SCHEMA,
    )


@dataclass(frozen=True, slots=True)
class Shard:
    """One immutable Parquet file of a corpus: name, number of pairs, SHA-256 of its bytes."""

    name: str
    rows: int
    digest: str


@dataclass(frozen=True)
class Corpus:
    """An ordered list of pairs on disk: Parquet shards, and `corpus.json`, written last."""

    folder: Path
    labels: LabelSet
    shards: tuple[Shard, ...]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the corpus of a folder; shards are checked when they are read.

        Raises: TmkdError when `corpus.json` is missing or damaged.
        """
        path = folder / CORPUS
        try:
            value = json.loads(path.read_bytes())
            shards = tuple(Shard(str(item["name"]), int(item["rows"]), str(item["digest"])) for item in value["shards"])
            return cls(folder, LabelSet.from_json(value["labels"]), shards)
        except FileNotFoundError:
            raise TmkdError(f"{folder}: no finished corpus here (no {CORPUS}); collect it again") from None
        except (ValueError, TypeError, KeyError) as error:
            raise TmkdError(f"{path}: damaged ({error}); remove {folder} and collect again") from None

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def digest(self) -> str:
        """SHA-256 of the label set and of every shard, in order."""
        return digest_json([self.labels.to_json(), [shard.digest for shard in self.shards]])

    def _read(self, shard: Shard, columns: list[str] | None = None) -> pa.Table:
        path = self.folder / shard.name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise TmkdError(f"{path}: missing; remove {self.folder} and collect again") from None
        if digest_bytes(data) != shard.digest:
            raise TmkdError(f"{path}: its bytes differ from {CORPUS}; remove {self.folder} and collect again")
        return pq.read_table(io.BytesIO(data), columns=columns)

    def _read_all(self, columns: list[str] | None = None) -> pa.Table:
        tables = [self._read(shard, columns) for shard in self.shards]
        return pa.concat_tables(tables, promote_options="default") if tables else SCHEMA.empty_table()

    def shard(self, index: int) -> pa.Table:
        """Read one shard: the columns of SCHEMA, then those of EXTRAS and GRADE that it has.

        Raises: TmkdError when the file is missing or its digest differs.
        """
        return self._read(self.shards[index])

    def table(self) -> pa.Table:
        """Read all pairs in order; raises as `shard` does."""
        return self._read_all()

    def pairs(self) -> Iterator[Pair]:
        """Iterate over all pairs in order, one shard in memory at a time; raises as `shard` does."""
        for shard in self.shards:
            columns = self._read(shard, SCHEMA.names).to_pydict()
            yield from map(Pair, *(columns[name] for name in SCHEMA.names))

    def label_array(self) -> np.ndarray:
        """Class indices, int64 (pairs,), -1 where there is no label; raises as `shard` does."""
        labels = self._read_all(["label"])["label"].to_pylist()
        return np.array([-1 if label is None else label for label in labels], dtype=np.int64)

    def id_array(self) -> np.ndarray:
        """Pair ids as two numbers each, uint64 (pairs, 2); raises as `shard` does."""
        ids = (self._read(shard, ["id"])["id"].to_pylist() for shard in self.shards)
        halves = [np.frombuffer(bytes.fromhex("".join(one)), dtype=">u8").reshape(-1, 2) for one in ids]
        return np.concatenate([np.empty((0, 2), dtype=np.uint64), *halves]).astype(np.uint64)


def write_corpus(folder: Path, labels: LabelSet, tables: Iterable[pa.Table], shard_rows: int = 8192) -> Corpus:
    """Write pairs as shards of `shard_rows`, `corpus.json` last; the same pairs in the same order give the same bytes.

    Tables have the columns of SCHEMA and optionally EXTRAS and GRADE; how pairs are split into tables has no effect.
    Raises: TmkdError when a file cannot be written.
    """
    return seal_corpus(folder, labels, write_shards(folder, "shard", tables, shard_rows))


def write_shards(folder: Path, name: str, tables: Iterable[pa.Table], shard_rows: int = 8192) -> list[Shard]:
    """Write pairs to files `name`-00000.parquet, … of `shard_rows` pairs each, the last one shorter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CORPUS).unlink(missing_ok=True)
    pieces = enumerate(_cut(tables, shard_rows))
    return [write_shard(folder, f"{name}-{number:05d}.parquet", table) for number, table in pieces]


def write_shard(folder: Path, name: str, table: pa.Table) -> Shard:
    """Write one shard, atomically. Raises: TmkdError when it cannot be written."""
    buffer = io.BytesIO()  # chunks are combined: their borders would show in the file's pages
    pq.write_table(_in_schema(table).combine_chunks(), buffer, compression="zstd")
    write_atomic(folder / name, buffer.getvalue())
    return Shard(name, table.num_rows, digest_bytes(buffer.getvalue()))


def seal_corpus(folder: Path, labels: LabelSet, shards: Sequence[Shard]) -> Corpus:
    """Write `corpus.json` for existing shards, and remove all others."""
    kept = {shard.name for shard in shards}
    for path in folder.glob("*.parquet"):
        if path.name not in kept:
            path.unlink()
    value = {"labels": labels.to_json(), "shards": [asdict(shard) for shard in shards]}
    write_atomic(folder / CORPUS, json_bytes(value))
    return Corpus(folder, labels, tuple(shards))


def _cut(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Regroup tables into pieces of exactly `rows` rows, the last one shorter."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(_in_schema(table))
        count += table.num_rows
        while count >= rows:
            joined = pa.concat_tables(waiting, promote_options="default")
            yield joined.slice(0, rows)
            waiting, count = [joined.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(waiting, promote_options="default")


def _in_schema(table: pa.Table) -> pa.Table:
    """Select the columns of SCHEMA, EXTRAS and GRADE, in order, cast to their types, without other metadata."""
    schema = pa.schema([*SCHEMA, *(field for field in (*EXTRAS, GRADE) if field.name in table.column_names)])
    return table.select(schema.names).replace_schema_metadata(None).cast(schema)


def require_golden(table: pa.Table) -> None:
    """Check that all pairs have golden labels. Raises: TmkdError naming the first pair without one."""
    missing = np.flatnonzero(table["label"].is_null())
    if len(missing):
        row = int(missing[0])
        pair = table.slice(row, 1).to_pylist()[0]
        raise TmkdError(
            f"{pair['source']}: pair {row + 1} of {table.num_rows} ('{pair['question'][:60]}') has no golden label, "
            "which alpha < 1 needs; label it, leave it out, or set alpha: 1"
        )
