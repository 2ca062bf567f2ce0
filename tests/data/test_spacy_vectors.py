"""spaCy's word vectors, good and bad."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from tmkd.data.spacy_vectors import key_of, read_spacy_vectors
from tmkd.data.word_vectors import read_vectors
from tmkd.errors import TmkdError

TABLE = np.array([[1, 2], [3, 4]], dtype=np.float32)


def packed(rows: Mapping[int, int]) -> bytes:
    """A MessagePack map; keys as spaCy writes them, rows in as few bytes as they need."""
    numbers = b"".join(
        b"\xcf" + struct.pack(">Q", key) + (bytes([row]) if row < 128 else b"\xcd" + struct.pack(">H", row))
        for key, row in rows.items()
    )
    return (bytes([0x80 | len(rows)]) if len(rows) < 16 else b"\xde" + struct.pack(">H", len(rows))) + numbers


def write_vocab(folder: Path, words: Mapping[str, int], table: np.ndarray = TABLE, texts: tuple[str, ...] = ()) -> Path:
    folder.mkdir(parents=True)
    with (folder / "vectors").open("wb") as file:
        np.save(file, table)
    (folder / "key2row").write_bytes(packed({key_of(word): row for word, row in words.items()}))
    (folder / "strings.json").write_text(json.dumps([*texts, *reversed([*words])]))
    return folder


def test_keys_are_spacys() -> None:
    assert key_of("coffee") == 3197928453018144401  # from spaCy's documentation
    assert len({key_of(text) for text in ("", "a", "ä", "sevenpl", "eightpls", "nineplus1", "sixteenletters16")}) == 7


def test_words_come_in_the_order_of_the_keys_and_may_share_a_vector(tmp_path: Path) -> None:
    write_vocab(tmp_path / "m" / "vocab", {"the": 0, "moon": 1, "moons": 1}, texts=("unused",))
    found = [(word, vector.tolist()) for word, vector in read_spacy_vectors(tmp_path)]
    assert found == [("the", [1, 2]), ("moon", [3, 4]), ("moons", [3, 4])]


def test_a_wheel_is_read_as_it_is(tmp_path: Path) -> None:
    words = {f"word{number}": number for number in range(300)}
    vocab = write_vocab(tmp_path / "vocab", words, np.eye(300, 2, dtype=np.float32))
    with ZipFile(tmp_path / "m-1-py3-none-any.whl", "w") as wheel:
        for path in vocab.iterdir():
            wheel.write(path, f"m/_model/vocab/{path.name}")
    assert [word for word, _ in read_vectors(tmp_path / "m-1-py3-none-any.whl")] == [*words]


def test_a_key_without_a_text_is_left_out(tmp_path: Path) -> None:
    vocab = write_vocab(tmp_path / "vocab", {"the": 0, "moon": 1})
    (vocab / "strings.json").write_text('["moon"]')
    assert [word for word, _ in read_spacy_vectors(vocab)] == ["moon"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("key2row", b"", "key2row is no map"),
        ("key2row", b"\x93\x01\x02\x03", "key2row is no map"),
        ("key2row", packed({1: 2}), "key2row names row 2 of 2"),
        ("key2row", packed({1: 0})[:-1], "key2row is cut short"),
        ("key2row", packed({1: 0})[:-3], "key2row is cut short"),
        ("key2row", packed({1: 0}) + b"\x00", "goes on after its 1 entries"),
        ("key2row", b"\xdf\xff\xff\xff\xff", "key2row is cut short"),
        ("vectors", b"", "vectors is no .npy file"),
        ("vectors", b"\x80\x04N.", "vectors is no .npy file"),
        ("vectors", b"\x93NUMPY\x01", "no whole vectors of spaCy"),
        ("strings.json", b"[", "no whole vectors of spaCy"),
        ("strings.json", b"[1]", "no whole vectors of spaCy"),
    ],
)
def test_a_damaged_file_is_an_error_of_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    vocab = write_vocab(tmp_path / "vocab", {"the": 0})
    (vocab / name).write_bytes(content)
    with pytest.raises(TmkdError, match=told) as caught:
        list(read_spacy_vectors(vocab))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (np.ones((2, 2)), "vectors is no table of float32"),
        (np.ones(2, dtype=np.float32), "vectors is no table of float32"),
        (np.array([[np.nan, 1]], dtype=np.float32), "the vector of 'the', row 0, has a number that is not finite"),
    ],
)
def test_a_table_of_another_kind_is_refused(tmp_path: Path, table: np.ndarray, told: str) -> None:
    with pytest.raises(TmkdError, match=told):
        list(read_spacy_vectors(write_vocab(tmp_path / "vocab", {"the": 0}, table)))


def test_a_place_without_one_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="0 vocabularies of spaCy in it, not one"):
        list(read_spacy_vectors(tmp_path))
    for name in ("a", "b"):
        write_vocab(tmp_path / name / "vocab", {"the": 0})
    with pytest.raises(TmkdError, match="2 vocabularies of spaCy in it, not one"):
        list(read_spacy_vectors(tmp_path))
    (tmp_path / "a" / "vocab" / "vectors").unlink()
    with pytest.raises(TmkdError, match="cannot be read: "):
        list(read_spacy_vectors(tmp_path / "a"))
    (tmp_path / "m.whl").write_bytes(b"no zip")
    with pytest.raises(TmkdError, match="cannot be read: "):
        list(read_spacy_vectors(tmp_path / "m.whl"))
