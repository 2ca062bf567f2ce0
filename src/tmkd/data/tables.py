"""Table reader: Parquet, CSV, TSV, JSONL, or a text per line → an Arrow table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tmkd.data.columns import MIXED, CellError, Nested, strings
from tmkd.data.jsonl import LineError, json_objects
from tmkd.data.messages import short
from tmkd.data.tsv import tsv_rows
from tmkd.data.utf8 import MARK, without_mark
from tmkd.errors import TmkdError

if TYPE_CHECKING:
    from _csv import Reader

_PARQUET = b"PAR1"  # first bytes of such a file
_MARKS = {".tsv": "\t", ".csv": ","}  # ending → what stands between two fields
MAX_FIELD_LENGTH = 32_000_000  # characters of a CSV field; bounds how far an unclosed quotation mark reaches


def read_rows(path: Path, single: str | None = None, header: Sequence[str] = ()) -> pa.Table:
    """Read all columns of a file: Parquet types as stored, text formats as strings, null for missing JSON keys.

    `single` names the one column of a .txt file, a row per line; without it .txt is an error. `header` names the
    columns of a CSV or TSV file without a header line. TSV has no quoting, as in GLUE, unless all its quotation
    marks are CSV's. Blank lines, and rows with nothing but blank fields, are no rows and are not counted; byte-order
    marks are no text.
    Raises: TmkdError when the file is missing, empty, not UTF-8 or damaged, naming line or row (a header is not
    counted).
    """
    if not path.exists():
        raise TmkdError(f"{path}: no such file")
    kind = path.suffix.lower()
    known = (".parquet", ".csv", ".tsv", ".jsonl", *([".txt"] if single else []))
    if kind not in known or not path.is_file():
        tabs = "; a table with tabs, as SNLI's, is one of .tsv: rename it" if kind == ".txt" else ""
        raise TmkdError(f"{path}: cannot be read here; give a file of {', '.join(known)}{tabs}")
    if header and kind not in (".csv", ".tsv"):
        raise TmkdError(f"{path}: header is for CSV and TSV files without a header line; take it out of the recipe")
    rows = _parquet(path) if kind == ".parquet" else _from_text(path, kind, _text(path), single or "", header)
    if not rows.num_rows:
        raise TmkdError(f"{path}: empty, it has no rows")
    rows = rows.rename_columns([name.removeprefix("\ufeff") for name in rows.column_names])
    if len(set(rows.column_names)) != rows.num_columns:
        raise TmkdError(f"{path}: a column occurs twice: {', '.join(rows.column_names)}")
    return rows


def rows_where(path: Path, rows: pa.Table, where: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Select the rows with one of the wanted values in each column: indices, int64, ascending.

    Raises: TmkdError for a column that the file does not have, or when no row matches.
    """
    kept = np.ones(rows.num_rows, dtype=bool)
    for column, wanted in where.items():
        if column not in rows.column_names:
            raise TmkdError(f"{path}: no column '{column}' (where); it has {', '.join(rows.column_names)}")
        try:
            values = strings(rows[column], column)
        except CellError as error:
            raise TmkdError(f"{path}: row {error.row + 1}: {error} (where)") from None
        kept &= pc.is_in(values, value_set=pa.array(wanted, pa.string())).to_numpy()
    if not kept.any():
        condition = ", ".join(f"{column}: {' or '.join(wanted)}" for column, wanted in where.items())
        raise TmkdError(f"{path}: no row has {condition} (where)")
    return np.flatnonzero(kept)


def csv_rows(lines: Iterable[str]) -> Reader:
    """Parse CSV strictly, with fields of at most MAX_FIELD_LENGTH characters; spaces before them are no text."""
    csv.field_size_limit(MAX_FIELD_LENGTH)  # of the whole process: set again at every use
    return csv.reader(lines, strict=True, skipinitialspace=True)


def _text(path: Path) -> str:
    data = without_mark(path.read_bytes(), str(path))
    if data.startswith(_PARQUET):
        raise TmkdError(f"{path}: a Parquet file by its first bytes; let its name end in .parquet")
    try:
        text = data.decode().replace(f"\n{MARK}", "\n")  # files that were joined end to end have marks inside
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TmkdError(f"{path}: line {line} is not UTF-8 ({error.reason}); save the file as UTF-8") from None
    if not text.strip():
        raise TmkdError(f"{path}: empty, it has no rows")
    return text


def _from_text(path: Path, kind: str, text: str, single: str, header: Sequence[str]) -> pa.Table:
    if kind == ".txt":
        return pa.table({single: _lines(text)})
    if not header:
        _check_ending(path, kind, next(iter(_lines(text))))
    if kind == ".jsonl":
        return _jsonl(path, text)
    rows = _csv(path, text) if kind == ".csv" else list(tsv_rows(_lines(text)))
    return _delimited(path, [list(header), *rows] if header else rows)


def _check_ending(path: Path, kind: str, first: str) -> None:
    """Compare a file's ending with its first line. Raises: TmkdError where it is plainly another format's."""
    wanted, what = kind, ""
    if any(isinstance(value, dict) for value in json_objects([first])):
        wanted, what = ".jsonl", "a JSON object"
    elif not first.startswith(("{", "[")) and _MARKS.get(kind, "\0") not in first:
        wanted = next((ending for ending, mark in _MARKS.items() if mark in first), kind)
        what = "fields with tabs between them" if wanted == ".tsv" else "fields with commas between them"
    if wanted != kind:
        raise TmkdError(f"{path}: its first line is {what}; let the file's name end in {wanted}")


def _lines(text: str) -> list[str]:
    """Split into lines at \\n, \\r\\n or \\r\\r\\n, or at \\r alone where there is no \\n; drop blank lines.

    Unicode's other separators end no line.
    """
    end = "\n" if "\n" in text else "\r"
    return [line.rstrip("\r") for line in text.split(end) if line.strip()]


def _parquet(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise TmkdError(f"{path}: not a readable Parquet file ({short(str(error), 100)})") from None


def _csv(path: Path, text: str) -> list[list[str]]:
    reader = csv_rows(io.StringIO(text, newline=""))
    rows: list[list[str]] = []
    line = 1
    try:
        for row in reader:
            rows.append(row)
            line = reader.line_num + 1
    except csv.Error as error:
        problem = str(error)
        if "field limit" in problem:
            problem = f"a field has more than {MAX_FIELD_LENGTH:,} characters; is a quotation mark not closed?"
        elif "unexpected end" in problem:
            problem = "a quotation mark is not closed"
        where = f"line {line} is" if line == reader.line_num else f"lines {line} to {reader.line_num} are"
        raise TmkdError(f"{path}: {where} not CSV ({problem})") from None
    return rows


def _delimited(path: Path, rows: list[list[str]]) -> pa.Table:
    """Build a table of strings from a header and rows of the same length."""
    header, *rest = (row for row in rows if any(field.strip() for field in row))
    for number, row in enumerate(rest, start=1):
        if len(row) != len(header):
            raise TmkdError(
                f"{path}: row {number} has {len(row)} fields, the header {len(header)} ({short(', '.join(header))})"
            )
    columns = zip(*rest, strict=True) if rest else [()] * len(header)
    return pa.table([pa.array(column, pa.string()) for column in columns], names=[name.strip() for name in header])


def _jsonl(path: Path, text: str) -> pa.Table:
    rows: list[dict[str, str | Nested | None]] = []
    for number, row in enumerate(json_objects(_lines(text)), start=1):
        if isinstance(row, LineError):
            raise TmkdError(f"{path}: row {number} is {row}")
        try:
            rows.append({str(_json_value(name)): _json_value(value) for name, value in row.items()})
        except (ValueError, RecursionError) as error:
            raise TmkdError(f"{path}: row {number} is not valid JSON ({short(str(error), 100)})") from None
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _json_column([row.get(name) for row in rows]) for name in names})


def _json_value(value: object) -> str | Nested | None:
    """Convert a JSON value: strings as they are, numbers and booleans as JSON; NaN, as pandas writes it, is null."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, list | dict):
        return Nested("a list" if isinstance(value, list) else "an object")
    text = value if isinstance(value, str) else json.dumps(value)
    text.encode()  # JSON can spell lone surrogates, which are not text; the error is a ValueError
    return text


def _json_column(values: list[str | Nested | None]) -> pa.Array:
    if not any(isinstance(value, Nested) for value in values):
        return pa.array(values, pa.string())
    return pa.array([{"nested": one.kind} if isinstance(one, Nested) else {"text": one} for one in values], MIXED)
