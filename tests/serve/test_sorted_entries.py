from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.serve import sorted_entries
from tmkd.serve.sorted_entries import EntrySorter


def entry(number: int) -> tuple[bytes, bytes]:
    key = blake2b(str(number).encode(), digest_size=16).digest()
    return key, key[: number % 17]


def sort(folder: Path, entries: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    sorter = EntrySorter(folder, len(entries), 16)
    for key, value in entries:
        sorter.add(key, value)
    sorter.flush()
    return list(sorter.entries())


@pytest.mark.parametrize("buffered", [100, 1 << 26])
def test_entries_of_several_files_come_in_the_order_of_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buffered: int
) -> None:
    monkeypatch.setattr(sorted_entries, "_ENTRIES_PER_FILE", 50)
    monkeypatch.setattr(sorted_entries, "_BUFFERED_BYTES", buffered)
    entries = [entry(number) for number in range(500)]
    assert sort(tmp_path, entries) == sorted(entries)
    assert len(list(tmp_path.iterdir())) == 11


@given(st.dictionaries(st.binary(min_size=16, max_size=16), st.binary(max_size=16), max_size=20))
def test_any_keys_and_values_are_kept(tmp_path_factory: pytest.TempPathFactory, entries: dict[bytes, bytes]) -> None:
    assert sort(tmp_path_factory.mktemp("files"), list(entries.items())) == sorted(entries.items())


def test_of_equal_keys_the_first_one_stays(tmp_path: Path) -> None:
    key = bytes(15) + b"\1"
    assert sort(tmp_path, [(key, b"b"), (bytes(16), b""), (key, b"a")]) == [(bytes(16), b""), (key, b"b")]
