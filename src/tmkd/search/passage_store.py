"""Passages on disk by number: memory-mapped Arrow files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from tmkd.errors import TmkdError
from tmkd.store import by_number, write_atomic

TEXTS = "texts-*.arrow"
_ROWS = 1 << 15  # passages per file
_SCHEMA = pa.schema([("url", pa.string()), ("title", pa.string()), ("passage", pa.string())])


class Passage(NamedTuple):
    """A passage with the url and title of its document ("" if there is no title)."""

    url: str
    title: str
    passage: str


def write_texts(folder: Path, *streams: Iterable[Passage]) -> list[Path]:
    """Write passages in order to files of 32,768, each atomically, and remove surplus old files.

    Each stream begins a new file, so that an additional stream leaves earlier files unchanged.
    Raises: TmkdError when a file cannot be written.
    """
    names: list[Path] = []
    for chunk in chain.from_iterable(map(_chunks, streams)):
        batch = pa.record_batch([pa.array(column, pa.string()) for column in zip(*chunk, strict=True)], schema=_SCHEMA)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, _SCHEMA) as file:
            file.write_batch(batch)
        names.append(folder / f"texts-{len(names):05d}.arrow")
        write_atomic(names[-1], sink.getvalue())
    for old in set(folder.glob(TEXTS)) - set(names):
        old.unlink()
    return names


def _chunks(passages: Iterable[Passage]) -> Iterator[list[Passage]]:
    stream = iter(passages)
    while chunk := list(islice(stream, _ROWS)):
        yield chunk


class Texts:
    """Passages of a folder by number, from 0, in the order of writing.

    Raises: TmkdError when a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.files = by_number(folder.glob(TEXTS))
        batches = [_mapped(path) for path in self.files]
        self.rows = [batch.num_rows for batch in batches]
        self._starts = [0, *accumulate(self.rows)]
        self._columns = [[batch.column(name) for batch in batches] for name in Passage._fields]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, number: int) -> Passage:
        return Passage(self._text(0, number), self._text(1, number), self._text(2, number))

    def url(self, number: int) -> str:
        """Url of a passage's document."""
        return self._text(0, number)

    def passage(self, number: int) -> str:
        """Text of a passage."""
        return self._text(2, number)

    def passages(self) -> Iterator[str]:
        """Iterate over the texts of all passages, in order."""
        for column in self._columns[2]:
            yield from column.to_pylist()

    def file(self, place: int) -> Iterator[Passage]:
        """Iterate over the passages of one file, in order."""
        return map(Passage, *(column[place].to_pylist() for column in self._columns))

    def _text(self, column: int, number: int) -> str:
        place = bisect_right(self._starts, number) - 1
        return self._columns[column][place][number - self._starts[place]].as_py()


def _mapped(path: Path) -> pa.RecordBatch:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    except (pa.ArrowInvalid, OSError) as error:
        raise TmkdError(f"{path}: damaged ({error}); remove {path.parent} and run collect again") from None
