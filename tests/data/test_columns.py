"""Columns of tables as texts and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tmkd.data.columns import MIXED, CellError, numbers, strings


def column(values: list[Any], of: pa.DataType | None = None) -> pa.ChunkedArray:
    whole = pa.array(values, of)
    return pa.chunked_array([whole[:1], whole[1:]])


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (column(["a", None]), ["a", None]),
        (column([1, 2]), ["1", "2"]),
        (column([1.5, float("nan")]), ["1.5", None]),
        (column([float("nan"), None], pa.float16()), [None, None]),
        (column([b"a", b"b"]), ["a", "b"]),
        (column([{"text": "a"}, {"text": None}], MIXED), ["a", None]),
        (column([None, None], pa.list_(pa.string())), [None, None]),
        (pa.chunked_array([pa.array(["a", "b"]).dictionary_encode()]), ["a", "b"]),
    ],
)
def test_columns_of_every_type_become_strings(values: pa.ChunkedArray, texts: list[str | None]) -> None:
    assert strings(values, "x").to_pylist() == texts


@pytest.mark.parametrize(
    ("values", "row", "kind"),
    [
        (column([None, ["a"]], pa.list_(pa.string())), 1, "a list"),
        (column([None, ["a"]], pa.large_list(pa.string())), 1, "a list"),
        (column([None, {"a": 1}]), 1, "an object"),
        (column([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), 0, "an object"),
        (column([{"text": "a"}, {"nested": "a list"}], MIXED), 1, "a list"),
    ],
)
def test_the_first_list_or_object_is_named(values: pa.ChunkedArray, row: int, kind: str) -> None:
    for read in (strings, numbers):
        with pytest.raises(CellError, match=f"column x holds {kind}, not a single value; write that there") as told:
            read(values, "x")
        assert told.value.row == row


def test_numbers_may_be_missing_under_every_mark() -> None:
    found = numbers(column(["1.5", "", "NaN", "-", "None", None, "-1"]), "x")
    np.testing.assert_array_equal(found, [1.5, np.nan, np.nan, np.nan, np.nan, np.nan, -1.0])
    np.testing.assert_array_equal(numbers(column([1, None]), "x"), [1.0, np.nan])


def test_the_cell_that_is_no_number_is_named() -> None:
    with pytest.raises(CellError, match="'high' in column x is not a number") as told:
        numbers(column(["1", "high"]), "x")
    assert told.value.row == 1
