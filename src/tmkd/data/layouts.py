"""Distillation data in other tools' layouts, several scored pairs a row → a table with a pair a row."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from tmkd.data.hofstaetter import MARGINS, read_hofstaetter
from tmkd.data.jsonl import JsonObject, LineError, json_objects
from tmkd.data.messages import short
from tmkd.data.tables import read_rows
from tmkd.data.utf8 import without_marks
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

_CHUNK = 1 << 16  # pairs per chunk of the table
_Row = tuple[str, list[str], list[float]]  # a question, its passages, their scores
_SCHEMA = pa.schema([("question", pa.string()), ("passage", pa.string()), ("score", pa.float64()), ("row", pa.int64())])


class _RowError(Exception):
    """Fault of one row; the message lacks file and row."""


class _Pair(NamedTuple):
    question: str
    passage: str
    score: float  # NaN for a missing score, or without `scores`
    row: int


def read_layout(source: SourceSpec, base: Path, *, scores: bool, gaps: bool = False) -> tuple[pa.Table, int]:
    """Read a file of `source.layout`: its pairs in order, with repetitions.

    Columns: question, passage (string, stripped), score (float64, in the file's own unit; NaN without `scores`) and
    row (int64, row of the file, from 1). With `gaps` a pair with an unknown id or a missing score is dropped; the
    second value is the number of dropped pairs.
    Raises: TmkdError naming file and row.
    """
    path = base / Path(source.file).expanduser()
    if source.texts is not None:
        return read_hofstaetter(path, base, source.texts, scores, gaps)
    read = {"triples": _triple, "flagembedding": _flagembedding, "tevatron": _tevatron}[source.layout]
    pairs, left_out, batches = _pairs(path, source, read, scores), 0, []
    # Python objects live for one chunk only; the table takes the bytes of the texts and about 24 bytes a pair.
    while chunk := list(islice(pairs, _CHUNK)):
        kept = [pair for pair in chunk if math.isfinite(pair.score) or not scores]
        if len(kept) < len(chunk) and not gaps:
            first = next(pair for pair in chunk if not math.isfinite(pair.score))
            raise TmkdError(f"{path}: row {first.row}: {first.score} is no score; correct it or set missing: drop")
        left_out += len(chunk) - len(kept)
        columns = zip(*kept, strict=True) if kept else ((), (), (), ())
        batches.append(
            pa.record_batch([pa.array(one, of.type) for one, of in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
        )
    return pa.Table.from_batches(batches, _SCHEMA), left_out


def _pairs(path: Path, source: SourceSpec, read: Callable[[JsonObject, bool], _Row], scores: bool) -> Iterator[_Pair]:
    for row, record in enumerate(_records(path, source), start=1):
        try:
            if isinstance(record, LineError):
                raise record
            question, passages, found = read(record, scores)
            for passage, score in zip(passages, found if scores else [math.nan] * len(passages), strict=True):
                yield _Pair(question, passage, score, row)
        except (_RowError, LineError) as error:
            raise TmkdError(f"{path}: row {row}: {error}") from None


def _records(path: Path, source: SourceSpec) -> Iterator[JsonObject | LineError]:
    """Iterate over the rows of a file; JSONL is parsed here, because a table of strings would lose its lists."""
    if path.suffix.lower() != ".jsonl" or not path.is_file() or source.header:
        for batch in read_rows(path, header=source.header).to_batches(1024):
            try:
                yield from batch.to_pylist()
            except UnicodeDecodeError as error:  # pyarrow does not check Parquet strings for UTF-8
                raise TmkdError(f"{path}: a text is not UTF-8 ({error.reason}); save it as UTF-8") from None
        return
    empty = True
    with path.open("rb") as file:
        for record in json_objects(line for line in without_marks(file, str(path)) if line.strip()):
            empty = False
            yield record
    if empty:
        raise TmkdError(f"{path}: empty, it has no rows")


def _triple(record: JsonObject, scores: bool) -> _Row:
    """Parse sentence-transformers: query, positive, negative (or negative_1, …) and their raw scores in that order.

    The scores are a list in label, labels, score or scores, or the columns pos_score and neg_score (or neg_score_1 …).
    """
    negatives = _numbered(record, "negative")
    if not negatives:
        raise _RowError(f"no negative; it has {_keys(record)}")
    names = ["positive", *negatives]
    question, passages = _text(record, "query", "question", "anchor"), [_text(record, name) for name in names]
    if not scores:
        return question, passages, []
    if record.get("pos_score") is not None:
        values = [record[name] for name in ("pos_score", *_numbered(record, "neg_score"))]
    else:
        name = next((name for name in ("scores", "score", "labels", "label", "margin") if name in record), None)
        if name is None:
            raise _RowError(f"no scores (pos_score and neg_score, or a list in score or label); it has {_keys(record)}")
        values = record[name] if isinstance(record[name], list) else [record[name]]
    if len(values) in (1, len(passages) - 1):
        raise _RowError(MARGINS)
    return question, passages, _scores(values, len(passages), "scores")


def _flagembedding(record: JsonObject, scores: bool) -> _Row:
    """Parse FlagEmbedding: query, the lists pos and neg, and pos_scores and neg_scores of the same lengths."""
    passages, found = [], []
    for side in ("pos", "neg"):
        texts = [_clean(text, side) for text in _list(record, side)]
        passages += texts
        if scores and texts:
            found += _scores(_list(record, f"{side}_scores"), len(texts), f"{side}_scores")
    return _text(record, "query"), passages, found


def _tevatron(record: JsonObject, scores: bool) -> _Row:
    """Parse Tevatron: query, passages (a list of objects with text and perhaps title) and scores.

    Title and text are joined by a space, as Tevatron does before tokenisation.
    """
    passages = []
    for passage in _list(record, "passages"):
        if not isinstance(passage, dict):
            raise _RowError("passages holds no objects with title and text")
        title = passage.get("title") or ""
        if not isinstance(title, str):
            raise _RowError("title holds no text")
        passages.append(_clean(f"{title} {_text(passage, 'text')}", "text"))
    found = _scores(_list(record, "scores"), len(passages), "scores") if scores else []
    return _text(record, "query"), passages, found


def _numbered(record: JsonObject, word: str) -> list[str]:
    """Keys `word`, `word`_1, `word`_2, … in the order of their numbers."""
    found = [name for name in record if re.fullmatch(rf"{word}(_\d+)?", name)]
    return sorted(found, key=lambda name: int(name.removeprefix(word)[1:] or 0))


def _text(record: JsonObject, *names: str) -> str:
    name = next((name for name in names if name in record), None)
    if name is None:
        raise _RowError(f"no {' or '.join(names)}; it has {_keys(record)}")
    return _clean(record[name], name)


def _clean(text: object, name: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise _RowError(f"empty {name}" if text is None or isinstance(text, str) else f"{name} holds no text")
    try:
        text.encode()  # "\ud800" is JSON but no text
    except UnicodeEncodeError:
        raise _RowError(f"{name} is not UTF-8 text") from None
    return text.strip()


def _list(record: JsonObject, name: str) -> list[Any]:
    values = record.get(name)
    if not isinstance(values, list):
        raise _RowError(f"no {name}; it has {_keys(record)}" if values is None else f"{name} is not a list")
    return values


def _scores(values: list[Any], passages: int, name: str) -> list[float]:
    """Convert scores to floats, one per passage; null is NaN."""
    if len(values) != passages:
        raise _RowError(f"{len(values)} {name} for {passages} passages")
    try:
        return [math.nan if value is None else float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise _RowError(
            f"{short(json.dumps(values, default=str))} in {name} has a value that is not a number"
        ) from None


def _keys(record: JsonObject) -> str:
    return ", ".join(record) or "nothing"
