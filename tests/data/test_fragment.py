"""Fragments: read back as written, the same bytes for the same content, refused when anything in them differs."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tmkd.data import fragment
from tmkd.data.fragment import read_fragment, write_fragment
from tmkd.errors import TmkdError

FACTS = {"row": "tmkd", "seed": 1, "of": [0.5, None, "ü"]}
ARRAYS: dict[str, np.ndarray] = {
    "toy/dev": np.arange(6, dtype=np.float16).reshape(3, 2),
    "labels": np.array([1, 0], dtype=np.int8),
}


def test_facts_and_arrays_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "one.npz"
    write_fragment(path, FACTS, ARRAYS)
    facts, arrays = read_fragment(path)
    assert facts == FACTS
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_fragment(tmp_path / name, FACTS, ARRAYS)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def repacked(path: Path, member: str, change: bytes, by: bytes) -> None:
    """Write the file anew with other bytes in one of its members; its checksums are right."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert change in members[member]
    members[member] = members[member].replace(change, by)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("member", "change", "by"),
    [
        ("facts.npy", b"tmkd", b"tkdm"),
        ("labels.npy", b"\n\x01\x00", b"\n\x00\x01"),
        ("toy/dev.npy", b"<f2", b"<i2"),
        ("toy/dev.npy", b"(3, 2)", b"(2, 3)"),
    ],
)
def test_a_fragment_that_was_changed_is_refused(tmp_path: Path, member: str, change: bytes, by: bytes) -> None:
    path = tmp_path / "one.npz"
    write_fragment(path, FACTS, ARRAYS)
    repacked(path, member, change, by)
    with pytest.raises(TmkdError, match=r"one\.npz: its content differs from its digest; fetch it again"):
        read_fragment(path)


def test_an_array_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    write_fragment(path, FACTS, ARRAYS)
    more = io.BytesIO()
    np.save(more, np.zeros(1))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", more.getvalue())
    with pytest.raises(TmkdError, match="differs from its digest"):
        read_fragment(path)


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04"])
def test_another_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "one.npz"
    path.write_bytes(data)
    with pytest.raises(TmkdError, match=r"one\.npz: not a fragment"):
        read_fragment(path)


@pytest.mark.parametrize("array", [np.array([{}], dtype=object), np.zeros(3)])
def test_an_archive_of_other_arrays_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "one.npz"
    np.savez(path, facts=array, allow_pickle=True)
    with pytest.raises(TmkdError, match="not a fragment"):
        read_fragment(path)


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_fragment_cut_short_is_refused(tmp_path: Path, at: float) -> None:
    path = tmp_path / "one.npz"
    write_fragment(path, FACTS, ARRAYS)
    data = path.read_bytes()
    path.write_bytes(data[: int(at * len(data))])
    with pytest.raises(TmkdError, match="not a fragment"):
        read_fragment(path)


def test_a_missing_fragment_is_named(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"none\.npz: no such fragment"):
        read_fragment(tmp_path / "none.npz")


def test_a_fragment_with_too_much_in_it_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.npz"
    write_fragment(path, FACTS, {"zeros": np.zeros(100_000)})
    assert path.stat().st_size < 5_000
    monkeypatch.setattr(fragment, "MOST_BYTES", 100_000)
    with pytest.raises(TmkdError, match=r"one\.npz: 80\d{4} bytes unpacked are too many for a fragment"):
        read_fragment(path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TmkdError, match="cannot be made"):
        write_fragment(tmp_path / "file" / "one.npz", FACTS, {})
