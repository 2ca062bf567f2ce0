from __future__ import annotations

from pathlib import Path

import pytest

from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec
from tmkd.search.trec_run import Ranked, read_run

SOURCE = SourceSpec(file="bm25.run")


def write(folder: Path, text: str) -> None:
    (folder / "bm25.run").write_text(text)


def test_documents_come_by_rank_whatever_the_order_of_lines_and_blanks(tmp_path: Path) -> None:
    write(tmp_path, "q1 Q0 d2 2 1.5 me\nq2\tQ0\td1\t1\t9\tme\n\nq1  Q0 d1 1 2.5 me\nq1 Q0 d3 3 1e-1\n")
    assert read_run(SOURCE, tmp_path, 2) == {
        "q1": [Ranked("d1", 1, 2.5), Ranked("d2", 2, 1.5)],
        "q2": [Ranked("d1", 1, 9.0)],
    }


def test_ranks_may_begin_at_0_and_a_document_counts_once(tmp_path: Path) -> None:
    write(tmp_path, "q Q0 a 0 3 t\nq Q0 b 1 2 t\nq Q0 a 2 1 t\n")
    assert read_run(SOURCE, tmp_path, 2) == {"q": [Ranked("a", 0, 3.0), Ranked("b", 1, 2.0)]}


@pytest.mark.parametrize(
    "line", ["q Q0 d 1", "q Q0 d one 1 t", "q Q0 d 1 nan t", "q Q0 d 1 2 t x", "q Q0 d -1 2 t", "\udcff Q0 d 1 2 t"]
)
def test_a_line_that_is_none_of_a_run_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "bm25.run").write_bytes(b"q Q0 d 1 2 t\n" + line.encode("utf-8", "surrogateescape"))
    with pytest.raises(TmkdError, match=r"bm25\.run: line 2: '.*' is not a line of a run"):
        read_run(SOURCE, tmp_path, 10)


def test_a_missing_and_an_empty_run_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"bm25\.run: cannot be read"):
        read_run(SOURCE, tmp_path, 10)
    write(tmp_path, "\n")
    with pytest.raises(TmkdError, match=r"no line with a rank up to 10"):
        read_run(SOURCE, tmp_path, 10)


def test_byte_order_marks_are_no_part_of_a_question_id(tmp_path: Path) -> None:
    (tmp_path / "bm25.run").write_bytes("\ufeff11 Q0 d1 1 9\r\r\n\ufeff12 Q0 d1 1 8\r\n".encode())
    assert list(read_run(SOURCE, tmp_path, 2)) == ["11", "12"]
    (tmp_path / "bm25.run").write_bytes("11 Q0 d1 1 9\n".encode("utf-16"))
    with pytest.raises(TmkdError, match=r"bm25\.run: UTF-16 or UTF-32, or no text at all; save it as UTF-8"):
        read_run(SOURCE, tmp_path, 2)
