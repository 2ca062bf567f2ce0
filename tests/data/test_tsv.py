from __future__ import annotations

import pytest

from tmkd.data.tsv import tsv_rows


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["q\tn", '"say ""a"" now"\t1'], [["q", "n"], ['say "a" now', "1"]]),  # pandas
        (['"q"\t"n"', '"a"\t"1"'], [["q", "n"], ["a", "1"]]),  # all in quotation marks
        (["q\tn", '"say ""a"" now"\t1', '5" nail\t2'], [["q", "n"], ['"say ""a"" now"', "1"], ['5" nail', "2"]]),
        (["q\tn", '"best"\t1'], [["q", "n"], ['"best"', "1"]]),
        (["q\tn", '"a" and "b"\t1'], [["q", "n"], ['"a" and "b"', "1"]]),
        ([], []),
    ],
)
def test_quotation_marks_are_text_unless_all_are_csvs(lines: list[str], rows: list[list[str]]) -> None:
    assert list(tsv_rows(lines)) == rows


def test_the_first_lines_decide_and_a_faulty_field_stays() -> None:
    lines = ['"a ""b"""\t1', '"c', '"d"']
    assert list(tsv_rows(lines, 1)) == [['a "b"', "1"], ['"c'], ["d"]]
    assert list(tsv_rows(lines[::-1], 2)) == [['"d"'], ['"c'], ['"a ""b"""', "1"]]
