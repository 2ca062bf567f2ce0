"""URIs of runs: what is taken, what is refused without repeating a password, and where the cache lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tmkd.errors import UsageError
from tmkd.object_store.uri import cache_folder, runs_place


def test_a_path_stays_a_path() -> None:
    assert runs_place("runs") == Path("runs")
    assert runs_place("/data/a b") == Path("/data/a b")


def test_a_file_uri_is_the_path_that_it_names() -> None:
    assert runs_place("file:///data/a%20b") == Path("/data/a b")


@pytest.mark.parametrize("uri", ["s3://bucket/runs", "gs://bucket/runs", "az://bucket/runs"])
def test_a_uri_of_object_storage_loses_its_last_slash(uri: str) -> None:
    assert runs_place(uri) == uri
    assert runs_place(uri + "/") == uri


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as failure:
        runs_place("s3://AKIAKEY:hidden@bucket/runs")
    assert "holds no user or password" in str(failure.value)
    assert "hidden" not in str(failure.value)
    assert "AKIAKEY" not in str(failure.value)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s4://bucket/runs", "there is s3, gs, az, file"),
        ("s3:/bucket/runs", "two slashes"),
        ("s3://ab/runs", "three characters"),
        ("s3:///runs", "no name of a bucket"),
        ("s3://bucket/runs?X-Amz-Signature=1", "has no '?'"),
        ("file://data/runs", "three slashes"),
    ],
)
def test_a_faulty_uri_is_refused_with_a_reason(uri: str, told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("?", r"\?")) as failure:
        runs_place(uri)
    assert "Signature" not in str(failure.value)


def test_runs_of_two_servers_have_a_cache_folder_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMKD_CACHE", str(tmp_path))
    one = cache_folder("s3://bucket/runs/demo")
    assert (one.name, one.parent.parent) == ("demo", tmp_path)
    assert one == cache_folder("s3://bucket/runs/demo") != cache_folder("s3://bucket/other/demo")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    assert cache_folder("s3://bucket/runs/demo") != one


def test_the_cache_lies_in_the_users_cache_folder_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TMKD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("s3://bucket/runs/demo").is_relative_to(tmp_path / "tmkd")
