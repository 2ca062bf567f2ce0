"""Files of rows as tables, format by format."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tmkd.data.tables import read_rows, rows_where
from tmkd.errors import TmkdError


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'q,n\n"a, b",1\nc,2\n'),
        ("a.tsv", "q\tn\na, b\t1\nc\t2\n"),
        ("a.jsonl", '{"q": "a, b", "n": 1}\n{"q": "c", "n": 2}\n'),
    ],
)
def test_each_text_format_gives_the_same_table_of_strings(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_rows(tmp_path / name).to_pydict() == {"q": ["a, b", "c"], "n": ["1", "2"]}


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"q": ["a"], "n": pa.array([1], pa.int16())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet").equals(table)


def test_a_text_file_has_the_one_column_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\r\n")
    assert read_rows(tmp_path / "a.txt", "question").to_pydict() == {"question": ["one", "two"]}
    with pytest.raises(TmkdError, match=r"a\.txt: cannot be read here"):
        read_rows(tmp_path / "a.txt")


def test_a_given_header_makes_the_first_line_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("1\tx\n")
    assert read_rows(tmp_path / "a.tsv", header=("id", "text")).to_pydict() == {"id": ["1"], "text": ["x"]}


def test_a_missing_key_of_json_is_null_and_other_values_are_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": null, "b": [1, "x"]}\n{"c": true}\n')
    assert read_rows(tmp_path / "a.jsonl").to_pydict() == {
        "a": [None, None],
        "b": ['[1, "x"]', None],
        "c": [None, "true"],
    }


@pytest.mark.parametrize(
    ("line", "problem"),
    [("[]", "row 2 is not a JSON object"), ("{", r"row 2 is not valid JSON \(Expect"), ("", "row 2 is not valid JSON")],
)
def test_a_faulty_line_of_jsonl_is_named(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "a.jsonl").write_text(f"{{}}\n{line}\n{{}}\n")
    with pytest.raises(TmkdError, match=rf"a\.jsonl: {problem}"):
        read_rows(tmp_path / "a.jsonl")


def test_rows_are_selected_by_every_condition(tmp_path: Path) -> None:
    rows = pa.table({"split": ["a", "b", "a", "c"], "n": [1, 1, 2, 1]})
    assert rows_where(tmp_path, rows, {"split": ["a", "b"], "n": ["1"]}).tolist() == [0, 1]
    assert rows_where(tmp_path, rows, {}).tolist() == [0, 1, 2, 3]
    with pytest.raises(TmkdError, match=r"no row has split: d \(where\)"):
        rows_where(tmp_path, rows, {"split": ["d"]})
    with pytest.raises(TmkdError, match=r"no column 'x' \(where\); it has split, n"):
        rows_where(tmp_path, rows, {"x": ["d"]})
