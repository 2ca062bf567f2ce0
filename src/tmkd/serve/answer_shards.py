"""Shards of answers on disk, 1,024 questions each: the unit of restart and of extension."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.errors import TmkdError, first_line
from tmkd.serve.answer_value import Answer
from tmkd.serve.store_origin import ScoredBy
from tmkd.store import by_number, digest_json, write_atomic

QUESTIONS = 1024  # per shard
SHARDS = "answers-*.parquet"
RUN = "run.trec"
_ORIGIN = b"tmkd"  # key of the metadata
_SPACE = re.compile(r"\s")
_SCHEMA = pa.schema(
    [
        ("group", pa.string()),
        ("question", pa.string()),
        ("passage", pa.string()),
        ("url", pa.string()),
        ("score", pa.float32()),
        ("rank", pa.int32()),
        ("number", pa.int64()),
    ]
)


class Scored(NamedTuple):
    """A scored candidate: text, url, probability of relevance, number in the index's store."""

    passage: str
    url: str
    score: float
    number: int


class Asked(NamedTuple):
    """A question to answer, with its group (id)."""

    group: str
    question: str


class Answered(NamedTuple):
    """A question and its best candidates, best first."""

    asked: Asked
    answers: tuple[Scored, ...]


class ShardOrigin(NamedTuple):
    """Origin of a shard: how it was scored, and a digest of its questions."""

    scored_by: ScoredBy
    asked: str


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"answers-{number:05d}.parquet"


def asked_digest(asked: Sequence[Asked]) -> str:
    """SHA-256 of some questions in their order, 64 hexadecimal digits."""
    return digest_json(asked)


def write_shard(path: Path, scored_by: ScoredBy, answered: Sequence[Answered]) -> None:
    """Write a shard: a row per question and answer, rank from 1; a question without candidates has a row of nulls.

    Raises: TmkdError when it cannot be written.
    """
    rows: list[tuple[object, ...]] = []
    for asked, answers in answered:
        rows += [(*asked, *answer[:3], rank, answer.number) for rank, answer in enumerate(answers, 1)]
        if not answers:
            rows.append((*asked, *[None] * 5))
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)]
    origin = {"scored_by": asdict(scored_by), "asked": asked_digest([asked for asked, _ in answered])}
    table = pa.table(columns, schema=_SCHEMA.with_metadata({_ORIGIN: json.dumps(origin)}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_atomic(path, sink.getvalue())


def shard_origin(path: Path) -> ShardOrigin | None:
    """Origin of a shard; None where there is no shard, or no readable one."""
    try:
        origin = json.loads((pq.read_schema(path).metadata or {})[_ORIGIN])
        return ShardOrigin(ScoredBy(**origin["scored_by"]), origin["asked"])
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None


def read_shard(path: Path) -> Iterator[Answered]:
    """Iterate over the questions of a shard with their answers, in order.  Raises: TmkdError when it is damaged."""
    for asked, rows in _questions(path, ("passage", "url", "score", "number")):
        yield Answered(asked, tuple(Scored(*row) for row in rows if row[0] is not None))


def read_scores(path: Path) -> Iterator[tuple[str, list[Answer]]]:
    """Iterate over the questions of a shard with numbers and scores of their answers, best first.

    Raises: TmkdError when the shard is damaged.
    """
    for asked, rows in _questions(path, ("number", "score")):
        yield asked.question, [Answer(*row) for row in rows if row[0] is not None]


def _questions(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Asked, list[tuple[Any, ...]]]]:
    """Iterate over the questions of a shard with their rows of some columns."""
    try:
        table = pq.read_table(path, columns=[*Asked._fields, *columns], page_checksum_verification=True)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise TmkdError(f"{path}: damaged ({first_line(error)}); remove it and run precompute again") from None
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    for asked, its in groupby(rows, key=itemgetter(0, 1)):
        yield Asked(*asked), [row[2:] for row in its]


def write_run(folder: Path) -> None:
    """Write the answers of all shards of a folder as a TREC run: question's group, url, rank, score.

    White space in a group or a url is percent-encoded. Raises: OSError when it cannot be written.
    """
    part = folder / f".{RUN}.part"
    with part.open("w", encoding="utf-8", errors="surrogatepass") as file:
        for path in by_number(folder.glob(SHARDS)):
            for one in read_shard(path):
                file.writelines(_lines(one))
    part.replace(folder / RUN)


def _lines(one: Answered) -> Iterator[str]:
    for rank, answer in enumerate(one.answers, 1):
        yield f"{_word(one.asked.group)} Q0 {_word(answer.url)} {rank} {answer.score:.9g} tmkd\n"


def _word(text: str) -> str:
    return _SPACE.sub(lambda space: quote(space[0]), text)
