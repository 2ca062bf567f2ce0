"""The cache: bounded, the least used goes first, never what is used or what object storage does not have."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tmkd.errors import TmkdError, UsageError
from tmkd.object_store.cache import PUBLISHED, Cache, most_bytes
from tmkd.store import MANIFEST


def artifact(run: Path, name: str, size: int, published: bool = True) -> Path:
    folder = run / name
    (folder / "inner").mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    (folder / "a").write_bytes(bytes(size // 2))
    (folder / "inner" / "b").write_bytes(bytes(size - size // 2))
    if published:
        (folder / PUBLISHED).write_text("{}")
    return folder


def used(run: Path, folder: Path, seconds: float) -> None:
    """Use an artifact, at some time."""
    cache = Cache(run)
    cache.hold(folder)
    cache.release()
    mark = run / ".used" / folder.relative_to(run).as_posix().replace("/", "+")
    os.utime(mark, (seconds, seconds))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two runs in a cache of 1 MB."""
    monkeypatch.setenv("TMKD_CACHE_GB", "0.001")
    return tmp_path / "bucket-1" / "one", tmp_path / "bucket-2" / "two"


def test_the_least_used_artifacts_of_all_runs_go_first_but_their_manifests_stay(runs: tuple[Path, Path]) -> None:
    one, two = runs
    old, new, other = artifact(one, "pairs/old", 300_000), artifact(one, "new", 300_000), artifact(two, "a", 300_000)
    for run, folder, when in ((one, old, 1000), (two, other, 2000), (one, new, 3000)):
        used(run, folder, when)
    Cache(one).make_room(500_000)
    assert {*os.listdir(old)} == {MANIFEST, PUBLISHED}
    assert {*os.listdir(other)} == {MANIFEST, PUBLISHED}
    assert (new / "inner" / "b").is_file()


def test_nothing_goes_while_there_is_room(runs: tuple[Path, Path]) -> None:
    folder = artifact(runs[0], "a", 300_000)
    Cache(runs[0]).make_room(500_000)
    assert (folder / "a").is_file()


def test_what_is_used_stays_and_the_lack_of_room_is_told(runs: tuple[Path, Path]) -> None:
    folder = artifact(runs[0], "a", 900_000)
    holder = Cache(runs[0])
    holder.hold(folder)
    with pytest.raises(TmkdError, match=r"no room for 0.00 GB in a cache of 0.001 GB .* raise TMKD_CACHE_GB"):
        Cache(runs[1]).make_room(500_000)
    assert (folder / "a").is_file()
    holder.release()
    Cache(runs[1]).make_room(500_000)
    assert not (folder / "a").exists()


def test_what_object_storage_does_not_have_stays(runs: tuple[Path, Path]) -> None:
    folder = artifact(runs[0], "a", 900_000, published=False)
    with pytest.raises(TmkdError, match="no room"):
        Cache(runs[0]).make_room(500_000)
    assert (folder / "a").is_file()


def test_a_full_disk_makes_room_too(runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = artifact(runs[0], "a", 300_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=64 << 20))
    Cache(runs[0]).make_room(100_000)
    assert not (folder / "a").exists()


@pytest.mark.parametrize("given", ["much", "0", "-1", "inf", "nan"])
def test_a_size_that_is_no_positive_number_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TMKD_CACHE_GB", given)
    with pytest.raises(UsageError, match="a positive number of gigabytes"):
        most_bytes()


def test_the_size_is_fifty_gigabytes_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMKD_CACHE_GB", raising=False)
    assert most_bytes() == 50_000_000_000
    monkeypatch.setenv("TMKD_CACHE_GB", "2.5")
    assert most_bytes() == 2_500_000_000
