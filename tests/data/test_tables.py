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


def test_a_missing_key_of_json_is_null_as_is_nan_and_other_values_are_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": null, "b": 1.5}\n{"c": true, "b": NaN}\n')
    assert read_rows(tmp_path / "a.jsonl").to_pydict() == {"a": [None, None], "b": ["1.5", None], "c": [None, "true"]}


@pytest.mark.parametrize(
    ("line", "problem"),
    [("[]", "row 2 is not a JSON object"), ("{", r"row 2 is not valid JSON \(Expect")],
)
def test_a_faulty_line_of_jsonl_is_named(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "a.jsonl").write_text(f"{{}}\n{line}\n{{}}\n")
    with pytest.raises(TmkdError, match=rf"a\.jsonl: {problem}"):
        read_rows(tmp_path / "a.jsonl")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n", "\n\n", "\r\n \r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.csv", ("q,n", "a,1", 'b,"2"')),
        ("a.tsv", ("q\tn", "a\t1", "b\t2")),
        ("a.jsonl", ('{"q": "a", "n": 1}', '{"q": "b", "n": 2}')),
    ],
)
def test_every_line_end_is_read_and_blank_lines_are_no_rows(
    tmp_path: Path, name: str, lines: tuple[str, ...], end: str
) -> None:
    (tmp_path / name).write_bytes(end.join(("", *lines, "")).encode())
    assert read_rows(tmp_path / name).to_pydict() == {"q": ["a", "b"], "n": ["1", "2"]}


def test_rows_of_blank_fields_are_no_rows_and_blank_lines_in_quotes_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('q,n\n,\n"a\n\nb",1\n , \n,2\n')  # Excel leaves rows of commas
    assert read_rows(tmp_path / "a.csv").to_pydict() == {"q": ["a\n\nb", ""], "n": ["1", "2"]}
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert read_rows(tmp_path / "a.txt", "q").to_pydict() == {"q": ["one", "two"]}
    (tmp_path / "a.txt").write_bytes(b"one\rtwo\r")
    assert read_rows(tmp_path / "a.txt", "q").to_pydict() == {"q": ["one", "two"]}


def test_spaces_before_a_field_of_csv_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"q", "n"\na,  "b, ""c"""\n')
    assert read_rows(tmp_path / "a.csv").to_pydict() == {"q": ["a"], "n": ['b, "c"']}


def test_byte_order_marks_are_no_text_at_the_start_between_joined_files_and_in_column_names(tmp_path: Path) -> None:
    for name, content in (
        ("a.csv", '\ufeff\ufeff"q",n\n\ufeffa,1\n'),
        ("a.tsv", "\ufeffq\tn\r\n\ufeffa\t1\r\n"),
        ("a.jsonl", '\ufeff{"\ufeffq": "a", "n": 1}\n\ufeff{"\ufeffq": "b", "n": 1}\n'),
    ):
        (tmp_path / name).write_bytes(content.encode())
        rows = read_rows(tmp_path / name)
        assert (rows.column_names, rows["q"][0].as_py()) == (["q", "n"], "a")
    pq.write_table(pa.table({"\ufeffq": ["a"]}), tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet").column_names == ["q"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
def test_other_unicode_encodings_are_refused_by_name(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes("q,n\na,1\n".encode(encoding))
    with pytest.raises(TmkdError, match=r"UTF-16 or UTF-32, or no text at all; save it as UTF-8"):
        read_rows(tmp_path / name, "q")


def test_a_field_may_be_a_whole_document_and_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "rain water, " * 400_000
    (tmp_path / "a.csv").write_text(f'q,n\n"{text}",1\n')
    assert read_rows(tmp_path / "a.csv")["q"].to_pylist() == [text]
    monkeypatch.setattr("tmkd.data.tables.MAX_FIELD_LENGTH", 1_000)
    with pytest.raises(TmkdError, match=r"a\.csv: line 2 is not CSV \(a field has more than 1,000 characters; is a"):
        read_rows(tmp_path / "a.csv")


def test_an_unclosed_quotation_mark_is_named_by_the_line_it_stands_in(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('q,n\na,1\n"b,2\nc,3\nd,4\n')
    with pytest.raises(TmkdError, match=r"a\.csv: lines 3 to 5 are not CSV \(a quotation mark is not closed\)"):
        read_rows(tmp_path / "a.csv")


def test_rows_are_selected_by_every_condition(tmp_path: Path) -> None:
    rows = pa.table({"split": ["a", "b", "a", "c"], "n": [1, 1, 2, 1]})
    assert rows_where(tmp_path, rows, {"split": ["a", "b"], "n": ["1"]}).tolist() == [0, 1]
    assert rows_where(tmp_path, rows, {}).tolist() == [0, 1, 2, 3]
    with pytest.raises(TmkdError, match=r"no row has split: d \(where\)"):
        rows_where(tmp_path, rows, {"split": ["d"]})
    with pytest.raises(TmkdError, match=r"no column 'x' \(where\); it has split, n"):
        rows_where(tmp_path, rows, {"x": ["d"]})


@pytest.mark.parametrize(
    ("name", "content", "ending"),
    [
        ("a.tsv", b'{"sentence1": "A, b.", "gold_label": "-"}\n', ".jsonl"),
        ("a.csv", b'{"sentence1": "A."}\n', ".jsonl"),
        ("a.tsv", b"question,passage,label\na,b,1\n", ".csv"),
        ("a.csv", b"question\tpassage\na, b\tc\n", ".tsv"),
        ("a.jsonl", b"question\tpassage\na\tb\n", ".tsv"),
        ("a.jsonl", b"question,passage\na,b\n", ".csv"),
    ],
)
def test_a_file_of_another_format_than_its_name_says_is_told_its_ending(
    tmp_path: Path, name: str, content: bytes, ending: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TmkdError, match=rf"{name}: its first line is .*; let the file's name end in \{ending}$"):
        read_rows(tmp_path / name)


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.txt"])
def test_a_parquet_file_of_another_name_is_told_its_ending(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({"question": ["a"]}), tmp_path / name)
    with pytest.raises(TmkdError, match=r"a Parquet file by its first bytes; let its name end in \.parquet"):
        read_rows(tmp_path / name, "question")


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "question\nwhat\n"), ("a.tsv", "question\nwho, why\n"), ("a.tsv", "a,b\tc\nd\te\n")]
)
def test_a_first_line_that_may_be_the_formats_is_taken(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_rows(tmp_path / name).num_rows == 1
