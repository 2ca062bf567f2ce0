"""What a worker on another machine brings and puts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from object_server import BUCKET, Proxy
from tmkd.errors import TmkdError
from tmkd.object_store import worker
from tmkd.object_store.failures import Damaged
from tmkd.object_store.objects import Objects
from tmkd.object_store.remote_run import RemoteRun
from tmkd.store import MANIFEST, verify, write_manifest

URI = f"s3://{BUCKET}/runs/tiny"


@pytest.fixture
def uri(server: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run with a finished artifact, seen from a machine with an empty cache."""
    driver = RemoteRun(URI)
    folder = driver.folder / "pairs" / "web"
    with driver.locked(print), driver.making(folder, (), {}):
        folder.mkdir(parents=True)
        (folder / "a").write_text("1")
        write_manifest(folder, "a step", {}, {}, {}, 1.0)
    monkeypatch.setenv("TMKD_CACHE", str(tmp_path / "worker"))
    worker._run.cache_clear()
    yield URI
    worker._run.cache_clear()


def test_an_artifact_is_brought_whole_and_once(uri: str, server: Proxy, tmp_path: Path) -> None:
    folder = worker.bring(uri, "pairs/web")
    assert folder.is_relative_to(tmp_path / "worker")
    verify(folder)
    server.requests.clear()
    assert worker.bring(uri, "pairs/web") == folder
    assert server.requests == {"GET": 1}  # of its manifest


def test_an_artifact_that_is_not_finished_is_told(uri: str) -> None:
    with pytest.raises(TmkdError, match=f"softlabels/web/t1: not finished .no {MANIFEST}"):
        worker.bring(uri, "softlabels/web/t1")


def test_a_file_that_a_worker_puts_is_brought_by_another(uri: str, tmp_path: Path) -> None:
    (tmp_path / "shard").write_text("one")
    worker.put(uri, "softlabels/web/t1/x.safetensors", tmp_path / "shard")
    path = worker.bring_file(uri, "softlabels/web/t1/x.safetensors")
    assert path is not None
    assert path.read_text() == "one"
    assert worker.bring_file(uri, "softlabels/web/t1/y.safetensors") is None


def test_a_file_put_by_half_is_not_taken(uri: str, tmp_path: Path) -> None:
    (tmp_path / "shard").write_text("one")
    worker.put(uri, "a/x", tmp_path / "shard")
    Objects(uri).write("a/x", b"on")
    with pytest.raises(Damaged):
        worker.bring_file(uri, "a/x")
