"""External sort of an answer store's entries by key, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tmkd.serve.question_key import KEY_BYTES

_ENTRIES_PER_FILE = 1 << 18
_MOST_FILES = 1 << 10
_BUFFERED_BYTES = 1 << 26  # of all files together


class EntrySorter:
    """Entries (key, value) on disk, in a file for each range of keys, each of which is sorted in memory.

    Keys are digests, hence spread evenly. `expected` entries give the number of files; a value has at most
    `value_bytes`. Files lie in `folder`, an empty one.
    """

    def __init__(self, folder: Path, expected: int, value_bytes: int) -> None:
        self._record = np.dtype([("high", ">u8"), ("low", ">u8"), ("size", "u1"), ("value", f"V{value_bytes}")])
        self._value_bytes = value_bytes
        files = min(1 + expected // _ENTRIES_PER_FILE, _MOST_FILES)
        self._paths = [folder / f"entries-{number:04d}" for number in range(files)]
        self._buffers = [bytearray() for _ in self._paths]
        self._buffered = 0

    def add(self, key: bytes, value: bytes) -> None:
        """Add an entry.  Raises: OSError when the disk is full."""
        record = key + bytes((len(value),)) + value.ljust(self._value_bytes, b"\0")
        self._buffers[int.from_bytes(key[:2], "big") * len(self._paths) >> 16] += record
        self._buffered += len(record)
        if self._buffered >= _BUFFERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write buffered entries to their files.  Raises: OSError when the disk is full."""
        for path, buffer in zip(self._paths, self._buffers, strict=True):
            with path.open("ab") as file:
                file.write(buffer)
            buffer.clear()
        self._buffered = 0

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the entries in key order, after `flush`; of equal keys the one that was added first."""
        size, start = self._record.itemsize, KEY_BYTES + 1
        for path in self._paths:
            records = np.fromfile(path, self._record)
            data = records[np.lexsort((records["low"], records["high"]))].tobytes()
            del records
            before = b""
            for place in range(0, len(data), size):
                key = data[place : place + KEY_BYTES]
                if key != before:
                    yield key, data[place + start : place + start + data[place + KEY_BYTES]]
                    before = key
