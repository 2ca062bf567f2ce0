"""Document tables (JSONL, CSV, TSV, Parquet; a document a row) → url, title, text; faulty rows are counted."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.data.jsonl import LineError, json_objects
from tmkd.data.messages import short
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

MAX_URL_LENGTH = 2_000  # characters; the usual limit of browsers and search engines

# Common names of each column; the first one that a file has is used.
_NAMES = {
    "url": ("url", "docid", "pid", "doc_id", "_id", "id"),
    "title": ("title",),
    "text": ("text", "passage", "body", "contents", "paragraphs"),
}
_MAX_LINE_BYTES = 32_000_000  # bytes; a longer line is skipped
_MAX_FIELD_LENGTH = 250_000  # characters of a CSV field; bounds how far an unclosed quotation mark reaches
_BATCH_ROWS = 256  # rows of a Parquet file read at once
_SURROGATE = re.compile("[\udc80-\udcff]")  # surrogateescape writes these for bytes that are not UTF-8


class Row(NamedTuple):
    """A row as a document: url or id and text, both non-empty; title, "" if there is none."""

    url: str
    title: str
    text: str


def read_documents(path: Path, source: SourceSpec, drop_counts: Counter[str]) -> Iterator[Row]:
    """Stream the documents of a .jsonl, .tsv or .csv file (.gz too) or of a .parquet file.

    Dropped rows are counted in `drop_counts` by reason. Raises: OSError when the file cannot be read; TmkdError when
    its content does not fit its suffix, or it has no columns for url and text.
    """
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind == ".parquet":
        yield from _parquet(path, source, drop_counts)
        return
    with _open(path) as file:
        lines = _lines(file, drop_counts)
        yield from (
            _jsonl(lines, source, drop_counts) if kind == ".jsonl" else _table(path, lines, kind, source, drop_counts)
        )


def _open(path: Path) -> BinaryIO:
    if path.suffix.lower() != ".gz":
        return path.open("rb")
    with path.open("rb") as file:
        if file.read(2) not in (b"", b"\x1f\x8b"):
            raise TmkdError(f"{path}: not a gzip file; if it is a plain one, name it without .gz")
    return cast(BinaryIO, gzip.open(path))


def _lines(file: BinaryIO, drop_counts: Counter[str]) -> Iterator[bytes]:
    """Iterate over lines with their line ends; a broken gzip file ends at the break."""
    mark = b"\xef\xbb\xbf"
    while True:
        try:
            line = file.readline(_MAX_LINE_BYTES + 1)
            while len(line) > _MAX_LINE_BYTES:
                drop_counts["too large"] += 1
                while line and not line.endswith(b"\n"):
                    line = file.readline(_MAX_LINE_BYTES)
                line = file.readline(_MAX_LINE_BYTES + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            drop_counts["truncated" if isinstance(error, EOFError) else "damaged"] += 1
            return
        if not line:
            return
        yield line.removeprefix(mark)
        mark = b""


def _jsonl(lines: Iterator[bytes], source: SourceSpec, drop_counts: Counter[str]) -> Iterator[Row]:
    for row in json_objects(line for line in lines if line.strip()):
        if isinstance(row, LineError) and row.kind != "no object":
            drop_counts[row.kind] += 1
        else:
            yield from _row({} if isinstance(row, LineError) else row, source, drop_counts)


def _table(
    path: Path, lines: Iterator[bytes], kind: str, source: SourceSpec, drop_counts: Counter[str]
) -> Iterator[Row]:
    """Iterate over the rows of a CSV or TSV file; TSV has no quoting."""
    # Bytes that are not UTF-8 become lone surrogates, so that the fields of the line can still be separated.
    texts = (line.decode("utf-8", "surrogateescape") for line in lines)
    tsv = (text.rstrip("\r\n").split("\t") for text in texts if text.strip())
    rows: Iterator[list[str]] = csv.reader(texts) if kind == ".csv" else tsv
    csv.field_size_limit(_MAX_FIELD_LENGTH)
    try:
        head: Sequence[str] = source.header or next(rows, [])
    except csv.Error as error:
        raise TmkdError(f"{path}: its first line is not CSV ({error}); header: […] names the columns") from error
    names = [name.strip() for name in head]
    if names:
        _require_columns(path, names, source)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:  # usually an unclosed quotation mark: the reader continues after the point of detection
            drop_counts["bad csv"] += 1
            continue
        if row is None:
            return
        if any(map(_SURROGATE.search, row)):
            drop_counts["not utf-8"] += 1
        elif row and len(row) != len(names):
            drop_counts["wrong number of fields"] += 1
        elif row:
            yield from _row(dict(zip(names, row, strict=True)), source, drop_counts)


def _parquet(path: Path, source: SourceSpec, drop_counts: Counter[str]) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise TmkdError(f"{path}: not a readable Parquet file ({short(str(error), 100)})") from None
    names = file.schema_arrow.names
    _require_columns(path, names, source)
    columns = [column for name in _NAMES if (column := _column(names, source, name))]
    with file:
        for group in range(file.num_row_groups):
            try:
                for batch in file.iter_batches(_BATCH_ROWS, [group], columns):
                    for row in zip(*map(_values, batch.columns), strict=True):
                        yield from _row(dict(zip(batch.schema.names, row, strict=True)), source, drop_counts)
            except (pa.ArrowException, OSError):
                drop_counts["damaged"] += 1


def _values(column: pa.Array) -> list[object]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # pyarrow does not check Parquet strings for UTF-8
        return list(column.cast(pa.binary()).to_pylist())


# -- a row → a document ------------------------------------------------------------------------------------------------


def _column(names: Sequence[str], source: SourceSpec, name: str) -> str | None:
    """Name of one of our columns in the file; None without it."""
    given = source.columns.get(name)  # type: ignore[call-overload]
    known = _NAMES[name] if given is None else (given,)
    return next((found for found in known if found in names), None)


def _require_columns(path: Path, names: Sequence[str], source: SourceSpec) -> None:
    for name in ("url", "text"):
        if _column(names, source, name) is None:
            expected = source.columns.get(name) or ", ".join(_NAMES[name])  # type: ignore[call-overload]
            remedy = f"name it with columns: {{{name}: …}}, or all columns with header: […]"
            raise TmkdError(f"{path}: no {name} column ({expected}); it has {short(', '.join(names), 100)}; {remedy}")


def _row(row: Mapping[str, object], source: SourceSpec, drop_counts: Counter[str]) -> Iterator[Row]:
    """Yield the document of a row, or count why it has none."""
    found = {name: row.get(_column(tuple(row), source, name) or "") for name in _NAMES}
    paragraphs = found["text"]
    if isinstance(paragraphs, list) and all(isinstance(one, str) for one in paragraphs):
        found["text"] = "\n\n".join(paragraphs)
    url, title, text = map(_text, found.values())
    if url is None or text is None:
        drop_counts["not utf-8"] += 1
    elif not url.strip():
        drop_counts["no url"] += 1
    elif len(url) > MAX_URL_LENGTH:
        drop_counts["url too long"] += 1
    elif not text.strip():
        drop_counts["empty text"] += 1
    else:
        yield Row(url.strip(), title or "", text)


def _text(value: object) -> str | None:
    """Convert a value to text: "" for other types, None for bytes that are not UTF-8."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else ""
