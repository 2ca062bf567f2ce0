"""Table reader: Parquet, CSV, TSV, JSONL, or a text per line → an Arrow table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tmkd.data.jsonl import LineError, json_objects
from tmkd.data.messages import short
from tmkd.errors import TmkdError


def read_rows(path: Path, single: str | None = None, header: Sequence[str] = ()) -> pa.Table:
    """Read all columns of a file: Parquet types as stored, text formats as strings, null for missing JSON keys.

    `single` names the one column of a .txt file, a row per line; without it .txt is an error. `header` names the
    columns of a CSV or TSV file without a header line.
    Raises: TmkdError when the file is missing, empty, not UTF-8 or damaged, naming line or row (a header is not
    counted).
    """
    if not path.exists():
        raise TmkdError(f"{path}: no such file")
    kind = path.suffix.lower()
    known = (".parquet", ".csv", ".tsv", ".jsonl", *([".txt"] if single else []))
    if kind not in known or not path.is_file():
        raise TmkdError(f"{path}: cannot be read here; give a file of {', '.join(known)}")
    if header and kind not in (".csv", ".tsv"):
        raise TmkdError(f"{path}: header is for CSV and TSV files without a header line; take it out of the recipe")
    rows = _parquet(path) if kind == ".parquet" else _from_text(path, kind, _text(path), single or "", header)
    if not rows.num_rows:
        raise TmkdError(f"{path}: empty, it has no rows")
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
            values = rows[column].cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise TmkdError(f"{path}: column {column} ({rows[column].type}) is not text (where)") from None
        kept &= pc.is_in(values, value_set=pa.array(wanted, pa.string())).to_numpy()
    if not kept.any():
        condition = ", ".join(f"{column}: {' or '.join(wanted)}" for column, wanted in where.items())
        raise TmkdError(f"{path}: no row has {condition} (where)")
    return np.flatnonzero(kept)


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TmkdError(f"{path}: line {line} is not UTF-8 ({error.reason}); save the file as UTF-8") from None
    if not text.strip():
        raise TmkdError(f"{path}: empty, it has no rows")
    return text


def _from_text(path: Path, kind: str, text: str, single: str, header: Sequence[str]) -> pa.Table:
    if kind == ".jsonl":
        return _jsonl(path, text)
    if kind == ".txt":
        return pa.table({single: _lines(text)})
    rows = _csv(path, text) if kind == ".csv" else [line.split("\t") for line in _lines(text)]
    return _delimited(path, [list(header), *rows] if header else rows)


def _lines(text: str) -> list[str]:
    """Split into lines at \\n or \\r\\n only, not at Unicode's other separators; drop blank lines at the end."""
    return [line.removesuffix("\r") for line in text.rstrip("\r\n ").split("\n")]


def _parquet(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise TmkdError(f"{path}: not a readable Parquet file ({short(str(error), 100)})") from None


def _csv(path: Path, text: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(reader)
    except csv.Error as error:
        raise TmkdError(f"{path}: line {reader.line_num} is not CSV ({error})") from None
    while not rows[-1]:
        rows.pop()
    return rows


def _delimited(path: Path, rows: list[list[str]]) -> pa.Table:
    """Build a table of strings from a header and rows of the same length; TSV has no quoting, as in GLUE."""
    header, *rest = rows
    for number, row in enumerate(rest, start=1):
        if len(row) != len(header):
            raise TmkdError(
                f"{path}: row {number} has {len(row)} fields, the header {len(header)} ({short(', '.join(header))})"
            )
    columns = zip(*rest, strict=True) if rest else [()] * len(header)
    return pa.table([pa.array(column, pa.string()) for column in columns], names=[name.strip() for name in header])


def _jsonl(path: Path, text: str) -> pa.Table:
    rows: list[dict[str, str | None]] = []
    for number, row in enumerate(json_objects(_lines(text)), start=1):
        if isinstance(row, LineError):
            raise TmkdError(f"{path}: row {number} is {row}")
        try:
            rows.append({_json_text(name) or "": _json_text(value) for name, value in row.items()})
        except (ValueError, RecursionError) as error:
            raise TmkdError(f"{path}: row {number} is not valid JSON ({short(str(error), 100)})") from None
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def _json_text(value: object) -> str | None:
    """Convert a JSON value to text: strings as they are, other values as JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    text.encode()  # JSON can spell lone surrogates, which are not text; the error is a ValueError
    return text
