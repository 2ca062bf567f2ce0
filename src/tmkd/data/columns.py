"""A column of a table → texts or numbers; a list or an object in it, and bytes that are not UTF-8, are errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tmkd.data.labels import is_missing
from tmkd.data.messages import short

# A column of JSON values of which some are lists or objects: `text` of the others, `nested` says what those are.
MIXED = pa.struct([("text", pa.string()), ("nested", pa.string())])


class Nested(NamedTuple):
    """A list or an object in the place of a text."""

    kind: str


class CellError(Exception):
    """Fault of one value; the message lacks file and row. `row` counts from 0."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


def strings(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Convert column `name`, of any type, to valid UTF-8 strings; NaN is null. Raises: CellError."""
    values = _plain(values, name)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    try:
        texts = values.cast(pa.string())
        texts.validate(full=True)  # pyarrow does not check Parquet strings for UTF-8
        return texts
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise CellError(_first_non_text(values), f"column {name} ({values.type}) is not UTF-8 text") from None


def numbers(values: pa.ChunkedArray, name: str) -> np.ndarray:
    """Convert column `name` to numbers, float64 (rows,); NaN where a number is missing. Raises: CellError."""
    values = _plain(values, name)
    if not pa.types.is_string(values.type) and not pa.types.is_large_string(values.type):
        try:
            return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise CellError(0, f"column {name} has {values.type}, not numbers") from None
    found = np.full(len(values), np.nan)
    for row, text in enumerate(strings(values, name).to_pylist()):
        try:
            found[row] = np.nan if text is None or is_missing(text) else float(text)
        except ValueError:
            raise CellError(row, f"'{short(text)}' in column {name} is not a number") from None
    return found


def _plain(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Decode a dictionary column; take the texts of a MIXED one. Raises: CellError at a list or an object."""
    if pa.types.is_dictionary(values.type):  # a cast would convert the whole dictionary once per chunk
        values = pa.chunked_array([one.dictionary_decode() for one in values.chunks], values.type.value_type)
    if not pa.types.is_nested(values.type):
        return values
    mixed = values.type == MIXED
    held = pc.struct_field(values, "nested") if mixed else values
    row = pc.index(held.is_valid(), True).as_py()
    if row >= 0:
        record = pa.types.is_struct(values.type) or pa.types.is_map(values.type)
        kind = held[row].as_py() if mixed else "an object" if record else "a list"
        raise CellError(
            row,
            f"column {name} holds {kind}, not a single value; write that there, or name another with columns: {{…}}",
        )
    return pc.struct_field(values, "text") if mixed else pa.chunked_array([pa.nulls(len(values), pa.string())])


def _first_non_text(values: pa.ChunkedArray) -> int:
    """Find the first row that is not UTF-8 text."""
    for row, value in enumerate(values):
        try:
            value.cast(pa.string()).as_py()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
            return row
    return 0
