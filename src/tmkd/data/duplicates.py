"""Repeated pairs of a table: one row is kept of each, and its label; two labels are an error, or drop the pair."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from tmkd.data.messages import short
from tmkd.errors import TmkdError


def deduplicate(table: pa.Table, conflicts: Literal["error", "drop"]) -> tuple[pa.Table, dict[str, int]]:
    """Keep the first labelled row of every pair; a pair with two labels is an error, or dropped.

    Counts: `duplicates` repeated rows dropped, `conflicts` pairs dropped for having two labels.
    Raises: TmkdError naming both rows of the first conflict, by source and row number within it.
    """
    ids, labels = table["id"].to_pylist(), table["label"].to_pylist()
    kept: dict[str, int] = {}
    conflicting: dict[str, tuple[int, int]] = {}
    duplicates = 0
    for row, key in enumerate(ids):
        first = kept.setdefault(key, row)
        if first == row:
            continue
        duplicates += 1
        if labels[first] is None:
            kept[key] = row
        elif labels[row] is not None and labels[row] != labels[first]:
            conflicting.setdefault(key, (first, row))
    if conflicting and conflicts == "error":
        first, second = min(conflicting.values(), key=lambda rows: rows[1])
        raise TmkdError(
            f"{_row_name(table, first)} and {_row_name(table, second)} give one pair two labels "
            f"({labels[first]} and {labels[second]}): '{short(table['question'][first].as_py())}'; "
            "correct one or set conflicts: drop"
        )
    duplicates -= sum(key in conflicting for key in ids) - len(conflicting)
    rows = sorted(row for key, row in kept.items() if key not in conflicting)
    return table.take(pa.array(rows, pa.int64())), {"duplicates": duplicates, "conflicts": len(conflicting)}


def _row_name(table: pa.Table, row: int) -> str:
    sources = table["source"].slice(0, row + 1).to_pylist()
    return f"{sources[row]}: row {sources.count(sources[row])}"
