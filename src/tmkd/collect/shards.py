"""A thousand questions → one shard of a stage-1 corpus: the unit of restart, of growth and of parallel work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.collect.guard import key
from tmkd.data.pairs import EXTRAS, SCHEMA, Shard, pair_id, pair_table, write_shard
from tmkd.errors import TmkdError
from tmkd.search.candidates import Candidate, candidates, distinct, draw
from tmkd.search.index import TantivyIndex
from tmkd.search.trec_run import Ranked
from tmkd.store import digest_file

QUESTIONS = 1024  # to a shard
LEDGER = ".shards.jsonl"  # hidden: what each shard was made from; no part of the artifact


class Question(NamedTuple):
    """A question to search for, the word for where it is from, the group its pairs form, and what a run file found."""

    text: str
    source: str
    group: str
    run: Sequence[Ranked] | None = None


class Made(NamedTuple):
    """A shard that was made (None where no question found a passage): how many pairs each question got, in order.

    `unknown` counts documents of a run file that are not in the index.
    """

    shard: Shard | None
    pairs: list[int]
    unknown: int


class Chunk(NamedTuple):
    """The questions of one shard; `key` says all that its pairs depend on; `made` is the shard if it is there."""

    number: int
    key: str
    questions: list[Question]
    made: Made | None = None

    @property
    def name(self) -> str:
        """The shard's file."""
        return f"shard-{self.number:05d}.parquet"


@dataclass(frozen=True)
class Rules:
    """How a question's pairs are chosen: from an index folder, the `top` documents, `keep` of them drawn with `seed`.

    Left out are `leaked` passages, pairs `given` already (ids), and pairs of held-out ones (`held`: key of a question →
    keys of its passages).
    """

    index: Path
    top: int
    keep: int | None
    seed: int
    leaked: frozenset[str]
    given: frozenset[str]
    held: dict[str, frozenset[str]]


def searcher(rules: Rules, folder: Path) -> Callable[[Chunk], Made]:
    """The function that searches for a chunk's questions and writes their shard into `folder`, if it is not there yet.

    What it writes follows from the rules and the chunk alone.
    """
    index = TantivyIndex(rules.index)

    def make(chunk: Chunk) -> Made:
        if chunk.made is not None:
            return chunk.made
        rows: list[tuple[Question, Candidate]] = []
        pairs: list[int] = []
        unknown = 0
        for question in chunk.questions:
            found, without = _found(index, question, rules.top)
            unknown += without
            held = rules.held.get(key(question.text), frozenset()) if rules.held else ()
            found = [
                hit
                for hit in found
                if hit.passage not in rules.leaked
                and not (rules.given and pair_id(question.text, hit.passage) in rules.given)
                and not (held and key(hit.passage) in held)
            ]
            if rules.keep is not None:
                found = draw(found, rules.keep, rules.seed)
            rows.extend((question, hit) for hit in found)
            pairs.append(len(found))
        return Made(write_shard(folder, chunk.name, _table(rows)) if rows else None, pairs, unknown)

    return make


def cut(made: Made, chunk: Chunk, folder: Path, room: int) -> Made:
    """A shard with as many of its first questions as have `room` pairs at most, written anew where some must go."""
    if sum(made.pairs) <= room or made.shard is None:
        return made
    fitting = list(takewhile(lambda pairs: pairs <= room, accumulate(made.pairs)))
    rows = fitting[-1] if fitting else 0
    table = pq.read_table(folder / made.shard.name).slice(0, rows)
    shard = write_shard(folder, chunk.name, table) if rows else None
    return Made(shard, made.pairs[: len(fitting)], made.unknown)


def _found(index: TantivyIndex, question: Question, top: int) -> tuple[list[Candidate], int]:
    """What search or the run file found for a question, and how many of the run's documents are unknown."""
    if question.run is None:
        return candidates(index, question.text, top), 0
    passages = index.best_of(question.text, [one.docid for one in question.run])
    ranks = {one.docid: one.rank for one in question.run}
    known = [
        (one.docid, passage, one.score)
        for one, passage in zip(question.run, passages, strict=True)
        if passage is not None
    ]
    found = [Candidate(question.text, text, url, ranks[url], score) for url, text, score in distinct(known)]
    return found, passages.count(None)


def _table(rows: list[tuple[Question, Candidate]]) -> pa.Table:
    """Found pairs as rows of SCHEMA and EXTRAS, without labels."""
    table = pair_table(
        [question.text for question, _ in rows],
        [hit.passage for _, hit in rows],
        groups=[question.group for question, _ in rows],
    )
    place = SCHEMA.get_field_index("source")
    sources = pa.array([question.source for question, _ in rows], pa.string())
    table = table.set_column(place, SCHEMA.field(place), sources)
    for field in EXTRAS:
        table = table.append_column(field, pa.array([getattr(hit, field.name) for _, hit in rows], field.type))
    return table


class Ledger:
    """Which shards of a folder are made, and from what: read once, then a line is added for each new one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._made = folder, dict(_lines(folder / LEDGER))

    def find(self, chunk: Chunk) -> Made | None:
        """The chunk's shard, if it was made from the same and is unharmed."""
        made = self._made.get(chunk.key)
        if made is None or made.shard is None:
            return made
        path = self.folder / chunk.name
        unharmed = made.shard.name == chunk.name and path.is_file() and digest_file(path) == made.shard.digest
        return made if unharmed else None

    def add(self, chunk: Chunk, made: Made) -> None:
        """Note a shard whose file is written.  Raises: TmkdError when the disk does not take the line."""
        shard = None if made.shard is None else [made.shard.name, made.shard.rows, made.shard.digest]
        value = {"key": chunk.key, "shard": shard, "pairs": made.pairs, "unknown": made.unknown}
        try:
            with (self.folder / LEDGER).open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(value))  # a line that a crash has torn is ended first
        except OSError as error:
            raise TmkdError(f"{self.folder / LEDGER}: cannot be written: {error.strerror}") from error
        self._made[chunk.key] = made


def _lines(path: Path) -> Iterator[tuple[str, Made]]:
    """The ledger's whole lines; one that a crash has torn says nothing."""
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            value: dict[str, Any] = json.loads(line)
            shard = None if value["shard"] is None else Shard(*value["shard"])
            yield value["key"], Made(shard, value["pairs"], value["unknown"])
        except (ValueError, KeyError, TypeError):
            continue
