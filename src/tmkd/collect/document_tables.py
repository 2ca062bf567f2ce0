"""Document tables (JSONL, CSV, TSV, Parquet; a document a row) → url, title, text; faulty rows are counted."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.data.jsonl import LineError, json_objects
from tmkd.data.messages import short
from tmkd.data.sources import ID_NAMES
from tmkd.data.tables import csv_rows
from tmkd.data.tsv import tsv_rows
from tmkd.data.utf8 import MARK, without_marks
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

MAX_URL_LENGTH = 2_000  # characters; the usual limit of browsers and search engines

# Common names of each column; the first one that a file has is used.
_TEXT_NAMES = ("text", "passage", "segment", "body", "contents", "content", "paragraphs")
_NAMES = {"url": ID_NAMES, "title": ("title",), "text": _TEXT_NAMES}
_MAX_LINE_BYTES = 32_000_000  # bytes; a longer line is skipped
_FIRST_ROWS = 100  # rows whose columns are told where no row is a document
_SAMPLE_LINES = 1_000  # of a TSV file, by which it is quoted or not
_BATCH_ROWS = 256  # rows of a Parquet file read at once
_SURROGATE = re.compile("[\udc80-\udcff]")  # surrogateescape writes these for bytes that are not UTF-8
Values = Mapping[str, object]


class Row(NamedTuple):
    """A row as a document: url or id and text, both non-empty; title, "" if there is none."""

    url: str
    title: str
    text: str


class _CellError(Exception):
    """A list or an object in the place of a text; the message lacks file and row."""


def read_documents(path: Path, source: SourceSpec, drop_counts: Counter[str]) -> Iterator[Row]:
    """Stream the documents of a .jsonl, .tsv or .csv file (.gz too) or of a .parquet file.

    Dropped rows are counted in `drop_counts` by reason. Raises: OSError when the file cannot be read; TmkdError when
    its content does not fit its suffix, it has no columns for url and text, or one of them holds a list (other than
    the text's paragraphs) or an object.
    """
    names: dict[str, None] = {}  # of the first rows
    found = False
    for number, row in table_rows(path, source, drop_counts, ("url", "text")):
        try:
            for document in _row(row, source, drop_counts):
                found = True
                yield document
        except _CellError as error:
            raise TmkdError(f"{path}: row {number}: {error}") from None
        if number <= _FIRST_ROWS:
            names |= dict.fromkeys(row)
    if names and not found:
        _require_columns(path, list(names), source, ("url", "text"))


def table_rows(
    path: Path, source: SourceSpec, drop_counts: Counter[str], needed: Sequence[str] = ()
) -> Iterator[tuple[int, Values]]:
    """Stream the rows of a file, numbered from 1, as values by column; of Parquet only the columns with known names.

    Raises: as `read_documents`, for columns only where `needed` names them.
    """
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind == ".parquet":
        yield from _parquet(path, source, drop_counts, needed)
        return
    with _open(path) as file:
        lines = without_marks(_lines(file, drop_counts), str(path))
        yield from (
            _jsonl(lines, drop_counts) if kind == ".jsonl" else _table(path, lines, kind, source, drop_counts, needed)
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
        yield line


def _jsonl(lines: Iterator[bytes], drop_counts: Counter[str]) -> Iterator[tuple[int, Values]]:
    rows = json_objects(line for line in lines if line.strip())
    for number, row in enumerate(rows, start=1):
        if isinstance(row, LineError) and row.kind != "no object":
            drop_counts[row.kind] += 1
        else:
            yield number, {} if isinstance(row, LineError) else row


def _table(
    path: Path,
    lines: Iterator[bytes],
    kind: str,
    source: SourceSpec,
    drop_counts: Counter[str],
    needed: Sequence[str],
) -> Iterator[tuple[int, Values]]:
    """Iterate over the rows of a CSV or TSV file."""
    # Bytes that are not UTF-8 become lone surrogates, so that the fields of the line can still be separated.
    texts = (line.decode("utf-8", "surrogateescape") for line in lines)
    tsv = tsv_rows((text.rstrip("\r\n") for text in texts if text.strip()), _SAMPLE_LINES)
    try:
        head: Sequence[str] = source.header or next(csv_rows(texts) if kind == ".csv" else tsv, [])
    except csv.Error as error:
        raise TmkdError(f"{path}: its first line is not CSV ({error}); header: […] names the columns") from error
    names = [name.strip().removeprefix(MARK) for name in head]
    if names:
        _require_columns(path, names, source, needed)
    rows = _csv(texts, drop_counts) if kind == ".csv" else tsv
    for number, row in enumerate((row for row in rows if any(row)), start=1):
        if any(map(_SURROGATE.search, row)):
            drop_counts["not utf-8"] += 1
        elif len(row) != len(names):
            drop_counts["wrong number of fields"] += 1
        else:
            yield number, dict(zip(names, row, strict=True))


def _csv(lines: Iterator[str], drop_counts: Counter[str]) -> Iterator[list[str]]:
    """Parse CSV; of a faulty record, with an unclosed quotation mark say, only the first line is dropped."""
    again: deque[str] = deque()
    record: list[str] = []

    def feed() -> Iterator[str]:
        while (line := again.popleft() if again else next(lines, None)) is not None:
            record.append(line)
            yield line

    while True:
        try:
            for row in csv_rows(feed()):
                record.clear()
                yield row
            return
        except csv.Error:
            drop_counts["bad csv"] += 1
            again.extendleft(reversed(record[1:]))
            record.clear()


def _parquet(
    path: Path, source: SourceSpec, drop_counts: Counter[str], needed: Sequence[str]
) -> Iterator[tuple[int, Values]]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise TmkdError(f"{path}: not a readable Parquet file ({short(str(error), 100)})") from None
    names = file.schema_arrow.names
    _require_columns(path, names, source, needed)
    columns = [column for name in _NAMES for column in known_columns(names, source, name)]
    number = 0
    with file:
        for group in range(file.num_row_groups):
            try:
                for batch in file.iter_batches(_BATCH_ROWS, [group], columns):
                    for row in zip(*map(_values, batch.columns), strict=True):
                        number += 1
                        yield number, dict(zip(batch.schema.names, row, strict=True))
            except (pa.ArrowException, OSError):
                drop_counts["damaged"] += 1


def _values(column: pa.Array) -> list[object]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # pyarrow does not check Parquet strings for UTF-8
        return list(column.cast(pa.binary()).to_pylist())


# -- a row → a document ------------------------------------------------------------------------------------------------


def known_columns(names: Sequence[str], source: SourceSpec, name: str) -> list[str]:
    """Names of the file's columns that may be our column `name`: the one that is mapped, or all with common names."""
    given = source.columns.get(name)  # type: ignore[call-overload]
    return [known for known in (_NAMES[name] if given is None else (given,)) if known in names]


def _require_columns(path: Path, names: Sequence[str], source: SourceSpec, needed: Sequence[str]) -> None:
    for name in needed:
        if not known_columns(names, source, name):
            expected = source.columns.get(name) or ", ".join(_NAMES[name])  # type: ignore[call-overload]
            remedy = f"name it with columns: {{{name}: …}}, or all columns with header: […]"
            raise TmkdError(f"{path}: no {name} column ({expected}); it has {short(', '.join(names), 100)}; {remedy}")


def _row(row: Values, source: SourceSpec, drop_counts: Counter[str]) -> Iterator[Row]:
    """Yield the document of a row, or count why it has none."""
    columns = {name: next(iter(known_columns(tuple(row), source, name)), "") for name in _NAMES}
    found = {name: row.get(column) for name, column in columns.items()}
    paragraphs = found["text"]
    if isinstance(paragraphs, list) and all(isinstance(one, str) for one in paragraphs):
        found["text"] = "\n\n".join(paragraphs)
    for name, value in found.items():
        if isinstance(value, list | dict):
            kind = "an object" if isinstance(value, dict) else "a list"
            remedy = f"map another column: columns: {{{name}: …}}"
            raise _CellError(f"column {columns[name]} holds {kind}, not a text; {remedy}")
    url, title, text = map(cell_text, found.values())
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


def cell_text(value: object) -> str | None:
    """Convert a value to text: "" for other types, None for bytes that are not UTF-8."""
    if isinstance(value, float) and value.is_integer():  # pandas writes columns with missing values so
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else ""
