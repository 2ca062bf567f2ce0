from __future__ import annotations

from pathlib import Path

import pytest

from tmkd.errors import TmkdError
from tmkd.search import passage_store
from tmkd.search.passage_store import Passage, Texts, write_texts

PASSAGES = [Passage(f"u{number}", "t" if number % 2 else "", f"passage {number}") for number in range(5)]


@pytest.fixture(autouse=True)
def two_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage_store, "_ROWS", 2)


def test_passages_are_found_by_their_number(tmp_path: Path) -> None:
    assert [path.name for path in write_texts(tmp_path, PASSAGES)] == [f"texts-0000{n}.arrow" for n in range(3)]
    found = Texts(tmp_path)
    assert (len(found), found.rows) == (5, [2, 2, 1])
    assert [found[number] for number in range(5)] == PASSAGES
    assert (found.url(4), found.passage(2)) == ("u4", "passage 2")
    assert list(found.passages()) == [one.passage for one in PASSAGES]
    assert list(found.file(1)) == PASSAGES[2:4]


def test_files_beyond_the_last_are_removed_and_equal_passages_give_equal_bytes(tmp_path: Path) -> None:
    write_texts(tmp_path, PASSAGES)
    first = (tmp_path / "texts-00000.arrow").read_bytes()
    write_texts(tmp_path, PASSAGES[:2])
    assert [path.name for path in tmp_path.iterdir()] == ["texts-00000.arrow"]
    assert (tmp_path / "texts-00000.arrow").read_bytes() == first


def test_no_passages_no_files(tmp_path: Path) -> None:
    assert write_texts(tmp_path, []) == []
    assert len(Texts(tmp_path)) == 0


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_texts(tmp_path, PASSAGES)
    (tmp_path / "texts-00001.arrow").write_bytes(b"rubbish")
    with pytest.raises(TmkdError, match=r"texts-00001\.arrow: damaged"):
        Texts(tmp_path)
