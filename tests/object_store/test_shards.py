"""Shards of an unfinished artifact: sent while they are made, brought whole or not at all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from object_server import Fault, Proxy
from tmkd.object_store.objects import Objects
from tmkd.object_store.shards import Shards

NAME = "softlabels/web/t1"


def shards(objects: Objects, folder: Path, rules: str = "6") -> Shards:
    folder.mkdir(exist_ok=True)
    return Shards(objects, NAME, folder, ("shard-*", ".ledger"), {".rules": rules} if rules else {})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sent(objects: Objects, folder: Path, rules: str = "6") -> Shards:
    """Two shards and a ledger, sent."""
    own = shards(objects, folder, rules)
    own.bring()
    for name in ("shard-1", "shard-2", ".ledger"):
        (folder / name).write_text(name * 10)
    (folder / "corpus.json").write_text("not a shard")
    own.send()
    return own


def test_another_machine_goes_on_from_the_shards(objects: Objects, tmp_path: Path) -> None:
    sent(objects, tmp_path / "a")
    other = shards(objects, tmp_path / "b")
    other.bring()
    assert names(tmp_path / "b") == [".ledger", ".rules", "shard-1", "shard-2"]
    assert (tmp_path / "b" / "shard-1").read_text() == "shard-1" * 10
    assert {*other.sent} == {".ledger", "shard-1", "shard-2"}


def test_scratch_that_has_a_shards_name_is_not_brought(objects: Objects, tmp_path: Path) -> None:
    sent(objects, tmp_path / "a")
    objects.write(f"{NAME}/.work/shard-7", b"half")  # a worker of a cluster put it
    shards(objects, tmp_path / "b").bring()
    assert names(tmp_path / "b") == [".ledger", ".rules", "shard-1", "shard-2"]


def test_a_shard_is_sent_once_and_again_when_it_changes(objects: Objects, server: Proxy, tmp_path: Path) -> None:
    own = sent(objects, tmp_path / "a")
    before = server.requests["PUT"]
    own.send()
    assert server.requests["PUT"] == before
    (tmp_path / "a" / ".ledger").write_text("longer than before, by a line")
    own.send()
    assert server.requests["PUT"] == before + 1


def test_shards_that_are_here_already_are_not_fetched_again(objects: Objects, server: Proxy, tmp_path: Path) -> None:
    sent(objects, tmp_path / "a")
    server.moved.clear()
    shards(objects, tmp_path / "a").bring()
    assert server.moved["received"] < 2500  # a listing


@pytest.mark.parametrize("text", ["shard-1" * 5, "shard-9" * 10, ""], ids=["half", "other", "empty"])
def test_a_shard_whose_bytes_are_not_those_that_were_sent_is_not_taken(
    objects: Objects, tmp_path: Path, text: str
) -> None:
    sent(objects, tmp_path / "a")
    objects.write(f"{NAME}/shard-1", text.encode())
    other = shards(objects, tmp_path / "b")
    other.bring()
    assert names(tmp_path / "b") == [".ledger", ".rules", "shard-2"]
    (tmp_path / "b" / "shard-1").write_text("made again")
    other.send()
    third = shards(objects, tmp_path / "c")
    third.bring()
    assert (tmp_path / "c" / "shard-1").read_text() == "made again"


def test_a_changed_shard_here_gives_way_to_the_one_in_storage(objects: Objects, tmp_path: Path) -> None:
    sent(objects, tmp_path / "a")
    (tmp_path / "a" / "shard-1").write_text("shard-9" * 10)
    shards(objects, tmp_path / "a").bring()
    assert (tmp_path / "a" / "shard-1").read_text() == "shard-1" * 10


def test_shards_made_under_other_rules_go_in_storage_and_here(objects: Objects, tmp_path: Path) -> None:
    sent(objects, tmp_path / "a", rules="5")
    shards(objects, tmp_path / "a", rules="6").bring()
    assert names(tmp_path / "a") == [".rules", "corpus.json"]
    assert [one.name for one in objects.list(NAME)] == [f"{NAME}/.rules"]
    stored = objects.read(f"{NAME}/.rules")
    assert stored is not None
    assert stored.data == b"6"


def test_shards_are_sent_while_more_are_made(objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmkd.object_store.shards.EVERY", 0.05)
    own = shards(objects, tmp_path / "a", rules="")
    with own.sending():
        (tmp_path / "a" / "shard-1").write_text("one")
        for _ in range(200):
            if objects.sha256(f"{NAME}/shard-1"):
                break
            time.sleep(0.02)
        else:
            pytest.fail("the shard was not sent")
        (tmp_path / "a" / "shard-2").write_text("two")
    assert [one.name for one in objects.list(NAME)] == [f"{NAME}/shard-1", f"{NAME}/shard-2"]


def test_what_was_made_before_a_failure_is_sent(objects: Objects, tmp_path: Path) -> None:
    own = shards(objects, tmp_path / "a", rules="")

    def fails() -> None:
        with own.sending():
            (tmp_path / "a" / "shard-1").write_text("one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert objects.sha256(f"{NAME}/shard-1")


def test_a_server_that_fails_for_a_while_does_not_stop_the_work(
    objects: Objects, server: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmkd.object_store.shards.EVERY", 0.05)
    server.faults.append(Fault("PUT", "shard-1", times=8, status=503, code="SlowDown"))
    own = shards(objects, tmp_path / "a", rules="")
    with own.sending():
        (tmp_path / "a" / "shard-1").write_text("one")
        while server.faults[0].times:
            time.sleep(0.05)
    assert objects.sha256(f"{NAME}/shard-1")


def test_what_stays_for_the_next_time_is_known_by_its_name(objects: Objects, tmp_path: Path) -> None:
    own = shards(objects, tmp_path / "a")
    assert [own.is_kept(name) for name in ("shard-1", ".ledger", ".rules")] == [True] * 3
    assert [own.is_kept(name) for name in ("corpus.json", "inner/shard-1", "manifest.json")] == [False] * 3
