"""Objects: conditional writes, lost replies, races, files sent in parts and fetched whole."""

from __future__ import annotations

import errno
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from object_server import BUCKET, Fault, Proxy
from tmkd.errors import TmkdError
from tmkd.object_store.failures import Changed, Damaged
from tmkd.object_store.objects import Objects, _version
from tmkd.store import digest_bytes

WRITERS, ROUNDS, SWAPS = 16, 20, 5


def content(objects: Objects, name: str) -> bytes | None:
    stored = objects.read(name)
    return None if stored is None else stored.data


def test_an_object_is_created_once(objects: Objects) -> None:
    assert objects.read("a") is None
    objects.create("a", b"one")
    with pytest.raises(Changed, match="another run has written it"):
        objects.create("a", b"two")
    assert content(objects, "a") == b"one"


def test_an_object_is_replaced_only_in_the_version_that_was_read(objects: Objects) -> None:
    first = objects.create("a", b"one")
    objects.replace("a", b"two", first)
    with pytest.raises(Changed, match="another run has replaced it"):
        objects.replace("a", b"three", first)
    with pytest.raises(Changed):
        objects.replace("not there", b"three", first)
    assert content(objects, "a") == b"two"


def test_a_create_whose_reply_is_lost_is_a_success(objects: Objects, server: Proxy) -> None:
    server.faults.append(Fault("PUT", "/a"))
    version = objects.create("a", b"one")
    assert [method for method, path in server.asked].count("PUT") == 2
    objects.replace("a", b"two", version)


def test_a_replacement_whose_reply_is_lost_is_a_success(objects: Objects, server: Proxy) -> None:
    first = objects.create("a", b"one")
    server.faults.append(Fault("PUT", "/a"))
    second = objects.replace("a", b"two", first)
    objects.replace("a", b"three", second)
    assert content(objects, "a") == b"three"


def test_a_create_that_a_server_refuses_to_two_writers_at_once_is_tried_again(objects: Objects, server: Proxy) -> None:
    server.faults.append(Fault("PUT", "/a", status=409, code="ConditionalRequestConflict"))
    objects.create("a", b"one")
    assert content(objects, "a") == b"one"


@pytest.mark.slow
def test_of_sixteen_writers_exactly_one_creates(
    credentials: None, atomic_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", atomic_endpoint)
    writers = [Objects(f"s3://{BUCKET}/race") for _ in range(WRITERS)]
    for number in range(ROUNDS):
        won = raced(writers, lambda one, name, place=number: one.create(f"{place}", name))
        assert content(writers[0], f"{number}") == won


@pytest.mark.slow
def test_of_sixteen_writers_exactly_one_replaces(
    credentials: None, atomic_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", atomic_endpoint)
    writers = [Objects(f"s3://{BUCKET}/swap") for _ in range(WRITERS)]
    version = writers[0].create("a", b"first")
    for _ in range(SWAPS):
        won = raced(writers, lambda one, name, before=version: one.replace("a", name, before))
        stored = writers[0].read("a")
        assert stored is not None
        assert stored.data == won
        version = stored.version


def raced(writers: list[Objects], write: Any) -> bytes:
    """Content of the one writer that succeeded."""
    won: list[bytes] = []
    together = threading.Barrier(len(writers))

    def run(number: int) -> None:
        name = f"{number} {threading.get_ident()}".encode()
        writers[number].read("warm")  # connected
        together.wait()
        try:
            write(writers[number], name)
        except Changed:
            return
        won.append(name)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(writers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = won
    return winner


def test_a_large_file_is_sent_in_parts_and_comes_back(objects: Objects, server: Proxy, tmp_path: Path) -> None:
    data = bytes(range(256)) * (80 << 10)  # 20 MiB
    (tmp_path / "large").write_bytes(data)
    digest = objects.send("large", tmp_path / "large")
    parts = [path for method, path in server.asked if method == "PUT" and "partNumber" in path]
    assert len(parts) == 3
    assert objects.sha256("large") == digest == digest_bytes(data)
    assert objects.fetch("large", tmp_path / "back") == digest
    assert (tmp_path / "back").read_bytes() == data


def test_a_reply_that_breaks_off_is_gone_on_with(objects: Objects, server: Proxy, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    objects.send("one", tmp_path / "one")
    server.faults.append(Fault("GET", "/one", cut=True))
    assert objects.fetch("one", tmp_path / "back") is not None
    assert (tmp_path / "back").read_bytes() == b"x" * 100_000


def test_an_upload_that_is_killed_between_its_parts_leaves_no_object(
    objects: Objects, server: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(20 << 20))
    server.faults.append(Fault("PUT", "partNumber=2", times=99, status=503, code="SlowDown"))
    with pytest.raises(TmkdError, match="503"):
        objects.send("large", tmp_path / "large")
    assert objects.fetch("large", tmp_path / "back") is None
    assert [*objects.list()] == []


@pytest.mark.parametrize("there", [b"x" * 10, b"y" * 20, b""], ids=["half", "other", "empty"])
def test_other_bytes_than_were_sent_are_never_taken(objects: Objects, tmp_path: Path, there: bytes) -> None:
    objects.write("one", there)  # by another tool
    with pytest.raises(Damaged, match="not those that were sent"):
        objects.fetch("one", tmp_path / "one", digest_bytes(b"x" * 20))
    with pytest.raises(Damaged):
        objects.fetch("one", tmp_path / "one")  # nor without a digest beside it
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_is_told_and_leaves_nothing(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").write_bytes(b"x" * 20)
    objects.send("one", tmp_path / "one")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(TmkdError, match="No space left on device; the cache lies in TMKD_CACHE"):
        objects.fetch("one", tmp_path / "back")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_listing_has_names_sizes_and_versions_of_a_folder(objects: Objects) -> None:
    version = objects.create("a/one", b"123")
    objects.create("ab/two", b"")
    (one,) = objects.list("a")
    assert (one.name, one.size, one.version) == ("a/one", 3, version)


def test_an_etag_has_quotes_as_a_condition_needs_them_also_where_a_listing_leaves_them_out() -> None:
    assert _version({"e_tag": "0x1D", "version": None}) == _version({"e_tag": '"0x1D"'}) == {"e_tag": '"0x1D"'}


def test_objects_are_removed_and_what_is_not_there_is_no_failure(objects: Objects) -> None:
    objects.create("a", b"")
    objects.remove(["a", "b"])
    objects.remove([])
    assert [*objects.list()] == []


def test_objects_are_pickled_as_their_uri(objects: Objects) -> None:
    objects.create("a", b"1")
    copy = pickle.loads(pickle.dumps(objects))
    assert content(copy, "a") == b"1"
