"""Shards of a stage-1 corpus, 1,024 questions each: the unit of restart, extension and parallel work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.data.pairs import EXTRAS, SCHEMA, Shard, pair_id, pair_table, write_shard
from tmkd.data.words import text_key
from tmkd.errors import TmkdError
from tmkd.search.candidates import Candidate, candidates, distinct, draw
from tmkd.search.index import Hit, TantivyIndex
from tmkd.search.trec_run import Ranked
from tmkd.store import digest_file

QUESTIONS = 1024  # per shard
LEDGER = ".shards.jsonl"  # hidden file: the digest of each shard's inputs; not part of the artifact


class Question(NamedTuple):
    """A question to search for: text, source name, group of its pairs, and its documents from a run file, if given."""

    text: str
    source: str
    group: str
    run: Sequence[Ranked] | None = None


class ShardResult(NamedTuple):
    """A written shard (None if no question has a passage) and the number of pairs of each question, in order.

    `unknown` counts documents of the run file that are not in the index.
    """

    shard: Shard | None
    pairs: list[int]
    unknown: int


class Chunk(NamedTuple):
    """Questions of one shard; `key` is the digest of all inputs of its pairs; `result` is the shard if it exists."""

    number: int
    key: str
    questions: list[Question]
    result: ShardResult | None = None

    @property
    def name(self) -> str:
        """File name of the shard."""
        return f"shard-{self.number:05d}.parquet"


@dataclass(frozen=True)
class Rules:
    """Selection of a question's pairs: the `top` documents of an index folder, `keep` of them sampled with `seed`.

    Excluded are `leaked` passages, `given` pairs (ids) and held-out pairs (`held`: `text_key` of a question → those of
    its passages).
    """

    index: Path
    top: int
    keep: int | None
    seed: int
    leaked: frozenset[str]
    given: frozenset[str]
    held: dict[str, frozenset[str]]


def searcher(rules: Rules, folder: Path) -> Callable[[Chunk], ShardResult]:
    """Build the function that searches for a chunk's questions and writes their shard into `folder`, unless it exists.

    The shard is a function of rules and chunk alone.
    """
    index = TantivyIndex(rules.index)

    def make(chunk: Chunk) -> ShardResult:
        if chunk.result is not None:
            return chunk.result
        rows: list[tuple[Question, Candidate]] = []
        pairs: list[int] = []
        unknown = 0
        for question in chunk.questions:
            found, without = _found(index, question, rules.top)
            unknown += without
            held = rules.held.get(text_key(question.text), frozenset()) if rules.held else ()
            found = [
                hit
                for hit in found
                if hit.passage not in rules.leaked
                and not (rules.given and pair_id(question.text, hit.passage) in rules.given)
                and not (held and text_key(hit.passage) in held)
            ]
            if rules.keep is not None:
                found = draw(found, rules.keep, rules.seed)
            rows.extend((question, hit) for hit in found)
            pairs.append(len(found))
        return ShardResult(write_shard(folder, chunk.name, _table(rows)) if rows else None, pairs, unknown)

    return make


def truncate_shard(result: ShardResult, chunk: Chunk, folder: Path, limit: int) -> ShardResult:
    """Rewrite a shard to its first questions that have at most `limit` pairs together."""
    if sum(result.pairs) <= limit or result.shard is None:
        return result
    fitting = list(takewhile(lambda pairs: pairs <= limit, accumulate(result.pairs)))
    rows = fitting[-1] if fitting else 0
    table = pq.read_table(folder / result.shard.name).slice(0, rows)
    shard = write_shard(folder, chunk.name, table) if rows else None
    return ShardResult(shard, result.pairs[: len(fitting)], result.unknown)


def _found(index: TantivyIndex, question: Question, top: int) -> tuple[list[Candidate], int]:
    """Candidates of a question by search or from the run file; and the number of unknown documents of the run."""
    if question.run is None:
        return candidates(index, question.text, top), 0
    numbers = index.best_of(question.text, [one.docid for one in question.run])
    known = [
        Hit(one.docid, index.texts.passage(number), one.rank, one.score, number)
        for one, number in zip(question.run, numbers, strict=True)
        if number is not None
    ]
    found = [Candidate(question.text, hit.passage, hit.url, *hit[2:]) for hit in distinct(known)]
    return found, numbers.count(None)


def _table(rows: list[tuple[Question, Candidate]]) -> pa.Table:
    """Build the table of found pairs: SCHEMA and EXTRAS, without labels."""
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
    """Log of a folder's shards by the digest of their inputs: read once, one line appended per new shard."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._results = folder, dict(_lines(folder / LEDGER))

    def find(self, chunk: Chunk) -> ShardResult | None:
        """Look up the chunk's shard; None unless its inputs are the same and its file is intact."""
        result = self._results.get(chunk.key)
        if result is None or result.shard is None:
            return result
        path = self.folder / chunk.name
        intact = result.shard.name == chunk.name and path.is_file() and digest_file(path) == result.shard.digest
        return result if intact else None

    def add(self, chunk: Chunk, result: ShardResult) -> None:
        """Append a shard whose file is complete. Raises: TmkdError when the line cannot be written."""
        shard = None if result.shard is None else [result.shard.name, result.shard.rows, result.shard.digest]
        value = {"key": chunk.key, "shard": shard, "pairs": result.pairs, "unknown": result.unknown}
        try:
            with (self.folder / LEDGER).open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(value))  # ends a line cut off by a crash
        except OSError as error:
            raise TmkdError(f"{self.folder / LEDGER}: cannot be written: {error.strerror}") from error
        self._results[chunk.key] = result


def _lines(path: Path) -> Iterator[tuple[str, ShardResult]]:
    """Read the complete lines of the log; a line cut off by a crash is skipped."""
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            value: dict[str, Any] = json.loads(line)
            shard = None if value["shard"] is None else Shard(*value["shard"])
            yield value["key"], ShardResult(shard, value["pairs"], value["unknown"])
        except (ValueError, KeyError, TypeError):
            continue
