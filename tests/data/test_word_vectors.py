"""Word vectors as GloVe and word2vec write them, good and bad."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tmkd.data.word_vectors import read_vectors
from tmkd.errors import TmkdError


def written(folder: Path, content: str, name: str = "v.txt") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


@pytest.mark.parametrize("name", ["v.txt", "v.vec", "v.txt.gz"])
@pytest.mark.parametrize("first", ["", "2 3\n"])
def test_words_come_in_order_with_their_numbers(tmp_path: Path, name: str, first: str) -> None:
    found = dict(read_vectors(written(tmp_path, first + "the 1 2 3\nmoon -0.5 0 1e-2\n", name)))
    assert list(found) == ["the", "moon"]
    assert found["moon"].tolist() == pytest.approx([-0.5, 0.0, 0.01])


def test_a_word_may_hold_spaces_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(b"the 1 2\n. . . 3 4\nat name@domain.com 5 6\n\xff 7 8\n")
    assert [word for word, _ in read_vectors(path)] == ["the", ". . .", "at name@domain.com", "\ufffd"]


def test_the_first_word_may_hold_spaces_or_be_a_number(tmp_path: Path) -> None:
    assert [word for word, _ in read_vectors(written(tmp_path, "new york 1 2\nthe 3 4\nof 5 6\n"))] == [
        "new york",
        "the",
        "of",
    ]
    assert [word for word, _ in read_vectors(written(tmp_path, "2003 1 2\nthe 3 4\n"))] == ["2003", "the"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "empty, it has no words"),
        ("the 1 2\nmoon 1\n", "line 2 \\('moon'\\) has 1 numbers, not 2"),
        ("the 1 2\nmoon 1 2 3\n", "line 2 \\('moon'\\) has 3 numbers, not 2"),
        ("the 1 x\n", "line 1 \\('the'\\): 'x' is not a number"),
        ("the 1 nan\n", "'nan' is not a finite number"),
        ("the 1 1e99\n", "'1e99' is not a finite number"),
        ("the\n", "is not a word and 1 to 4096 numbers"),
        ("2 2\nthe 1 2\n", "line 1 promises 2 words, there are 1; get the file again"),
        ("1 2\nthe 1 2 3\n", "line 2 \\('the'\\) has 3 numbers, not 2"),
        ("the  1  2\nmoon  1  2\n", "line 1 \\('the'\\): '' is not a number"),
        ("the 0,1 2\nmoon 0,3 4\n", "line 1 \\('the'\\): '0,1' is not a number"),
        ("the 1 2\n. . 1\n", "line 2 \\('\\.'\\): '\\.' is not a number; get the file again, or take the line out"),
        ("the 1\nof 1 2\nmoon 1 2\n", "line 1 \\('the'\\) has 1 numbers, not 2; get the file again, or take"),
        ("the 1 2 3\nof 1 2\nmoon 1 2\n", "line 1 \\('the'\\) has 3 numbers, not 2"),
        ("the 1 x\nof 1 2\nmoon 1 2\n", "line 1 \\('the'\\): 'x' is not a number"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(TmkdError, match=told):
        list(read_vectors(written(tmp_path, content)))


def test_files_that_are_no_word_vectors_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"not word vectors; give a \.txt or \.vec file"):
        list(read_vectors(tmp_path / "v.bin"))
    with pytest.raises(TmkdError, match="cannot be read: No such file"):
        list(read_vectors(tmp_path / "v.txt"))
    torn = written(tmp_path, "the 1 2\n" * 500, "v.txt.gz")
    torn.write_bytes(torn.read_bytes()[:-12])
    with pytest.raises(TmkdError, match="cannot be read"):
        list(read_vectors(torn))
    with pytest.raises(TmkdError, match="line 1 is longer"):
        list(read_vectors(written(tmp_path, "a" * (1 << 20))))


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz"])
def test_a_byte_order_mark_is_no_part_of_a_word_and_utf16_is_refused(tmp_path: Path, name: str) -> None:
    assert [word for word, _ in read_vectors(written(tmp_path, "\ufeffthe 1 2\r\n\r\n\ufeffmoon 1 2\r\n", name))] == [
        "the",
        "moon",
    ]
    content = "the 1 2\n".encode("utf-16")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(TmkdError, match="UTF-16 or UTF-32, or no text at all; save it as UTF-8"):
        list(read_vectors(tmp_path / name))
