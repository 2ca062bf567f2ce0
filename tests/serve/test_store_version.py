from __future__ import annotations

import json
from pathlib import Path

import pytest

from stores import ORIGIN, write_store
from tmkd.errors import TmkdError
from tmkd.serve.store_version import ABOUT, DATA, POINTER, OpenVersion, read_pointer, read_version


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path)
    return tmp_path


def test_a_version_has_its_entries_size_and_origin(store: Path) -> None:
    assert read_pointer(store) == "version-00001"
    version = read_version(store / "version-00001")
    assert (version.entries, version.origin) == (2, ORIGIN)
    assert version.bytes == (store / "version-00001" / DATA).stat().st_size


@pytest.mark.parametrize("text", ["../elsewhere", "version-1/../..", "", "version-00001\nversion-00002", "\udcff"])
def test_a_pointer_names_nothing_but_a_version(store: Path, text: str) -> None:
    (store / POINTER).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TmkdError, match="precompute"):
        read_pointer(store)


def test_a_file_that_was_cut_off_is_not_mapped(store: Path) -> None:
    with (store / "version-00001" / DATA).open("r+b") as file:
        file.truncate(4096)
    with pytest.raises(TmkdError, match=r"4,096 of .* bytes; run precompute again"):
        OpenVersion.acquire(store / "version-00001")


@pytest.mark.parametrize("change", [{"format": 9}, {"entries": "x"}, {"origin": {}}, {"origin": None}, {"bytes": None}])
def test_a_damaged_description_is_refused(store: Path, change: dict[str, object]) -> None:
    path = store / "version-00001" / ABOUT
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(TmkdError, match=r"store.json: .*; run precompute again"):
        read_version(path.parent)


def test_a_file_that_is_no_database_is_refused(store: Path) -> None:
    path = store / "version-00001" / DATA
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(TmkdError, match=r"data.mdb: damaged .*; run precompute again"):
        OpenVersion.acquire(path.parent)


def test_readers_share_one_environment_that_closes_after_the_last(store: Path) -> None:
    first, second = (OpenVersion.acquire(store / "version-00001") for _ in range(2))
    assert first.environment is second.environment
    first.release()
    with second.environment.begin() as transaction:
        assert transaction.stat()["entries"] == 2
    second.release()
    third = OpenVersion.acquire(store / "version-00001")
    assert third.environment is not first.environment
    third.release()
