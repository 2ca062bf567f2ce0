"""Repeated pairs and pairs of two labels."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.data.duplicates import deduplicate
from tmkd.data.pairs import pair_id, pair_table
from tmkd.errors import TmkdError


def test_repeated_pairs_are_kept_once_and_counted() -> None:
    table = pair_table(["a", "b", "a", "a"], ["p"] * 4, [1, 0, 1, 1], "t")
    kept, counts = deduplicate(table, "error")
    assert kept.equals(table.slice(0, 2))
    assert counts == {"duplicates": 2, "conflicts": 0}


def test_a_labelled_row_stands_for_its_unlabelled_double() -> None:
    kept, counts = deduplicate(pair_table(["a", "b", "a"], ["p"] * 3, [None, 0, 1], "t"), "error")
    assert list(zip(kept["question"].to_pylist(), kept["label"].to_pylist(), strict=True)) == [("b", 0), ("a", 1)]
    assert counts == {"duplicates": 1, "conflicts": 0}


def test_two_labels_for_one_pair_name_both_rows() -> None:
    table = pa.concat_tables(
        [
            pair_table(["x", "a"], ["p", "p"], [0, 1], "one.tsv"),
            pair_table(["y", "z", "a"], ["p"] * 3, [0, 0, 0], "two.csv"),
        ]
    )
    with pytest.raises(
        TmkdError, match=r"one\.tsv: row 2 and two\.csv: row 3 give one pair two labels \(1 and 0\): 'a'"
    ):
        deduplicate(table, "error")


def test_conflicting_pairs_are_dropped_whole_on_request() -> None:
    kept, counts = deduplicate(pair_table(["a", "b", "a", "a", "b"], ["p"] * 5, [1, 0, 1, 0, 0], "t"), "drop")
    assert kept["question"].to_pylist() == ["b"]
    assert counts == {"duplicates": 1, "conflicts": 1}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, 0, 1]))))
def test_deduplication_leaves_each_pair_once_with_its_only_label(rows: list[tuple[str, int | None]]) -> None:
    table = pair_table([text for text, _ in rows], ["p"] * len(rows), [label for _, label in rows], "t")
    kept, counts = deduplicate(table, "drop")
    given_labels = {text: {label for key, label in rows if key == text} - {None} for text, _ in rows}
    expected = {pair_id(text, "p"): found for text, found in given_labels.items() if len(found) < 2}
    found = dict(zip(kept["id"].to_pylist(), kept["label"].to_pylist(), strict=True))
    assert len(kept) == len(found)
    assert found == {key: next(iter(labels), None) for key, labels in expected.items()}
    assert counts["conflicts"] == len(given_labels) - len(expected)
    dropped = sum(len(given_labels[text]) > 1 for text, _ in rows)
    assert counts["duplicates"] == len(rows) - dropped - len(kept)
