"""Files with a document a row (JSONL, CSV, TSV, Parquet) → url, title and text of each; what is broken is counted."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.data.tables import short
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

LONGEST_URL = 2_000  # characters; browsers and search engines take no more

# What our columns are called in the files people have; the first one a file has is taken.
_NAMES = {
    "url": ("url", "docid", "pid", "doc_id", "_id", "id"),
    "title": ("title",),
    "text": ("text", "passage", "body", "contents", "paragraphs"),
}
_LONGEST_LINE = 32_000_000  # bytes; a longer line is no document
_LONGEST_FIELD = 250_000  # characters of a CSV file; also how far a quotation mark that never ends is followed
_AT_ONCE = 256  # rows of a Parquet file
_ESCAPED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of bytes that are not UTF-8


class Row(NamedTuple):
    """A document of a file: its url or id and its text, neither empty, and its title ("" if it has none)."""

    url: str
    title: str
    text: str


def read_documents(path: Path, source: SourceSpec, told: Counter[str]) -> Iterator[Row]:
    """The documents of a .jsonl, .tsv or .csv file, also with .gz, or of a .parquet file, read piece by piece.

    Rows that give none are counted in `told` by what is wrong with them. Raises: OSError when the file cannot be read;
    TmkdError when it is not what its name says, or has no columns for url and text.
    """
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind == ".parquet":
        yield from _parquet(path, source, told)
        return
    with _opened(path) as file:
        lines = _lines(file, told)
        yield from _jsonl(lines, source, told) if kind == ".jsonl" else _table(path, lines, kind, source, told)


def _opened(path: Path) -> BinaryIO:
    if path.suffix.lower() != ".gz":
        return path.open("rb")
    with path.open("rb") as file:
        if file.read(2) not in (b"", b"\x1f\x8b"):
            raise TmkdError(f"{path}: not a gzip file; if it is a plain one, name it without .gz")
    return cast(BinaryIO, gzip.open(path))


def _lines(file: BinaryIO, told: Counter[str]) -> Iterator[bytes]:
    """The lines, each with its end; of a broken gzip file those before the break."""
    mark = b"\xef\xbb\xbf"
    while True:
        try:
            line = file.readline(_LONGEST_LINE + 1)
            while len(line) > _LONGEST_LINE:
                told["too large"] += 1
                while line and not line.endswith(b"\n"):
                    line = file.readline(_LONGEST_LINE)
                line = file.readline(_LONGEST_LINE + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            told["truncated" if isinstance(error, EOFError) else "damaged"] += 1
            return
        if not line:
            return
        yield line.removeprefix(mark)
        mark = b""


def _jsonl(lines: Iterator[bytes], source: SourceSpec, told: Counter[str]) -> Iterator[Row]:
    for line in filter(bytes.strip, lines):
        try:
            row = json.loads(line.decode())
        except UnicodeDecodeError:
            told["not utf-8"] += 1
        except (ValueError, RecursionError):
            told["bad json"] += 1
        else:
            yield from _record(row if isinstance(row, dict) else {}, source, told)


def _table(path: Path, lines: Iterator[bytes], kind: str, source: SourceSpec, told: Counter[str]) -> Iterator[Row]:
    """The rows of a CSV or TSV file; TSV knows no quoting."""
    # What is no UTF-8 becomes half a surrogate pair, so that the rest of the line can still be read.
    texts = (line.decode("utf-8", "surrogateescape") for line in lines)
    tsv = (text.rstrip("\r\n").split("\t") for text in texts if text.strip())
    rows: Iterator[list[str]] = csv.reader(texts) if kind == ".csv" else tsv
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        head: Sequence[str] = source.header or next(rows, [])
    except csv.Error as error:
        raise TmkdError(f"{path}: its first line is not CSV ({error}); header: […] names the columns") from error
    names = [name.strip() for name in head]
    if names:
        _need(path, names, source)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:  # mostly a quotation mark that never ends: the reader goes on where it noticed
            told["bad csv"] += 1
            continue
        if row is None:
            return
        if any(map(_ESCAPED.search, row)):
            told["not utf-8"] += 1
        elif row and len(row) != len(names):
            told["wrong number of fields"] += 1
        elif row:
            yield from _record(dict(zip(names, row, strict=True)), source, told)


def _parquet(path: Path, source: SourceSpec, told: Counter[str]) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise TmkdError(f"{path}: not a readable Parquet file ({short(str(error), 100)})") from None
    names = file.schema_arrow.names
    _need(path, names, source)
    columns = [column for name in _NAMES if (column := _column(names, source, name))]
    with file:
        for group in range(file.num_row_groups):
            try:
                for batch in file.iter_batches(_AT_ONCE, [group], columns):
                    for row in zip(*map(_values, batch.columns), strict=True):
                        yield from _record(dict(zip(batch.schema.names, row, strict=True)), source, told)
            except (pa.ArrowException, OSError):
                told["damaged"] += 1


def _values(column: pa.Array) -> list[Any]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # Parquet's reader takes the bytes as they are
        return list(column.cast(pa.binary()).to_pylist())


# -- a row → a document ------------------------------------------------------------------------------------------------


def _column(names: Sequence[str], source: SourceSpec, name: str) -> str | None:
    """What a file calls one of our columns."""
    given = source.columns.get(name)  # type: ignore[call-overload]
    known = _NAMES[name] if given is None else (given,)
    return next((found for found in known if found in names), None)


def _need(path: Path, names: Sequence[str], source: SourceSpec) -> None:
    for name in ("url", "text"):
        if _column(names, source, name) is None:
            asked = source.columns.get(name) or ", ".join(_NAMES[name])  # type: ignore[call-overload]
            remedy = f"columns: {{{name}: …}} names it, header: […] all of a file without a header line"
            raise TmkdError(f"{path}: no {name} column ({asked}); it has {short(', '.join(names), 100)}; {remedy}")


def _record(row: dict[str, Any], source: SourceSpec, told: Counter[str]) -> Iterator[Row]:
    """The document of a row, or nothing, and why is counted."""
    found = {name: row.get(_column(tuple(row), source, name) or "") for name in _NAMES}
    paragraphs = found["text"]
    if isinstance(paragraphs, list) and all(isinstance(one, str) for one in paragraphs):
        found["text"] = "\n\n".join(paragraphs)
    url, title, text = map(_text, found.values())
    if url is None or text is None:
        told["not utf-8"] += 1
    elif not url.strip():
        told["no url"] += 1
    elif len(url) > LONGEST_URL:
        told["url too long"] += 1
    elif not text.strip():
        told["empty text"] += 1
    else:
        yield Row(url.strip(), title or "", text)


def _text(value: Any) -> str | None:
    """A value as text, "" if it is none; None for bytes that are not UTF-8."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else ""
