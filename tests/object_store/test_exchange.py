"""What a cluster's engine brings to its workers and takes from them, through object storage."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from object_server import BUCKET, Proxy
from tmkd.errors import TmkdError
from tmkd.object_store.exchange import RunExchange, _run
from tmkd.object_store.failures import Damaged
from tmkd.object_store.remote_run import RemoteRun
from tmkd.object_store.run_lock import LOCK
from tmkd.store import verify, write_manifest

URI = f"s3://{BUCKET}/runs/tiny"


@pytest.fixture
def exchange(server: Proxy) -> Iterator[RunExchange]:
    """Exchange of a run with a finished artifact, none of whose files is on this machine."""
    run = RemoteRun(URI)
    folder = run.folder / "pairs" / "web"
    with run.locked(print), run.making(folder, (), {}):
        folder.mkdir(parents=True)
        (folder / "a.parquet").write_text("1")
        write_manifest(folder, "a step", {}, {}, {}, 1.0)
    shutil.rmtree(run.folder)
    _run.cache_clear()
    yield run.exchange()
    _run.cache_clear()


def test_an_artifact_is_brought_once_to_the_path_it_has_for_the_command(exchange: RunExchange, server: Proxy) -> None:
    exchange.bring(exchange.folder / "pairs" / "web")
    verify(exchange.folder / "pairs" / "web")
    server.requests.clear()
    exchange.bring(exchange.folder / "pairs" / "web")
    assert server.requests == {"GET": 1}  # of its manifest
    with pytest.raises(TmkdError, match="softlabels/web/t1: not finished"):
        exchange.bring(exchange.folder / "softlabels" / "web" / "t1")


def test_a_path_outside_the_run_is_taken_to_be_on_each_machine(exchange: RunExchange, tmp_path: Path) -> None:
    exchange.bring(tmp_path / "pretrained")
    assert not exchange.folder.exists()


def test_a_file_is_brought_and_one_that_is_nowhere_is_named(exchange: RunExchange) -> None:
    exchange.bring_file(exchange.folder / "pairs" / "web" / "a.parquet")
    assert (exchange.folder / "pairs" / "web" / "a.parquet").read_text() == "1"
    with pytest.raises(TmkdError, match=r"runs/tiny/pairs/web/b.parquet: not there"):
        exchange.bring_file(exchange.folder / "pairs" / "web" / "b.parquet")


def test_what_a_worker_puts_is_taken_over_what_is_here(exchange: RunExchange) -> None:
    shard = exchange.folder / "softlabels" / "web" / "t1" / "x.safetensors"
    shard.parent.mkdir(parents=True)
    exchange.take(shard)
    assert not shard.exists()  # a shard with nothing in it is not put
    shard.write_text("scores")
    exchange.put(shard)
    shard.write_text("sco")  # left by a killed worker
    exchange.take(shard)
    assert shard.read_text() == "scores"


def test_a_file_put_by_half_is_not_taken(exchange: RunExchange) -> None:
    shard = exchange.folder / "a" / "x"
    shard.parent.mkdir(parents=True)
    shard.write_text("one")
    exchange.put(shard)
    shard.unlink()
    _run(URI).objects.write("a/x", b"on")
    with pytest.raises(Damaged):
        exchange.take(shard)
    assert not shard.exists()


def test_a_worker_that_would_ask_another_server_says_so(exchange: RunExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(TmkdError, match="another server is meant here; set the same AWS_ENDPOINT_URL"):
        exchange.bring(exchange.folder / "pairs" / "web")


def test_a_piece_leaves_no_file_on_a_machine_where_the_command_does_not_run(exchange: RunExchange) -> None:
    shard = exchange.folder / "pairs" / "web" / "a.parquet"
    exchange.bring_file(shard)
    with exchange.folder.joinpath(LOCK).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as the command does
        exchange.drop([shard])
        assert shard.is_file()
    exchange.bring_file(shard)
    with shard.open("rb") as read:
        fcntl.flock(read, fcntl.LOCK_SH)  # as another worker does
        exchange.drop([shard])
        assert shard.is_file()
    exchange.bring_file(shard)
    exchange.drop([shard, shard.with_name("never-written")])
    assert not shard.exists()
    exchange.bring_file(shard)
    assert shard.read_text() == "1"
