"""A run in object storage: manifests last and under a condition, artifacts brought, published, withdrawn."""

from __future__ import annotations

import fcntl
import json
import pickle
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from object_server import BUCKET, Fault, Proxy
from tmkd.errors import TmkdError
from tmkd.flow.runner import lock_run
from tmkd.object_store.cache import PUBLISHED
from tmkd.object_store.failures import Changed, Damaged
from tmkd.object_store.remote_run import RemoteRun
from tmkd.object_store.run_lock import HELD, LOCK
from tmkd.store import MANIFEST, read_manifest, verify, write_manifest

URI = f"s3://{BUCKET}/runs/tiny"
NAME = "pairs/web"


@pytest.fixture
def here(server: Proxy) -> RemoteRun:
    """The run, in this machine's cache."""
    return RemoteRun(URI)


def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str = "other") -> RemoteRun:
    """The same run in an empty cache, of another process."""
    monkeypatch.setenv("TMKD_CACHE", str(tmp_path / name))
    return RemoteRun(URI)


def write(folder: Path, files: Mapping[str, str], colour: str = "red") -> None:
    """Write and seal an artifact, as a step does."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    write_manifest(folder, "a step", {}, {"colour": colour}, {}, 1.0)


def made(run: RemoteRun, files: Mapping[str, str], colour: str = "red", patterns: tuple[str, ...] = ()) -> Path:
    """Make an artifact of a run that is locked."""
    folder = run.folder / NAME
    with run.locked(pytest.fail):
        with run.making(folder, patterns, {}):
            write(folder, files, colour)
        run.release()
    return folder


def names(run: RemoteRun) -> list[str]:
    return [one.name.removeprefix(f"{NAME}/") for one in run.objects.list(NAME)]


def test_an_artifact_is_published_with_its_manifest_last(here: RemoteRun, server: Proxy) -> None:
    made(here, {"a": "1", "inner/b": "2"})
    put = [path for method, path in server.asked if method == "PUT" and NAME in path]
    assert put[-1].endswith(f"{NAME}/{MANIFEST}")
    assert sorted(names(here)) == ["a", "inner/b", MANIFEST]


def test_another_machine_has_its_manifest_at_once_and_its_files_when_it_needs_them(
    here: RemoteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(here, {"a": "1", "inner/b": "2"})
    other = elsewhere(monkeypatch, tmp_path)
    other.refresh()
    there = other.folder / NAME
    assert there != folder
    assert read_manifest(there) == read_manifest(folder)
    assert not (there / "a").exists()
    other.bring(there)
    verify(there)


def test_manifests_that_are_here_are_listed_and_not_read_again(here: RemoteRun, server: Proxy) -> None:
    made(here, {"a": "1"})
    server.requests.clear()
    here.refresh()
    assert server.requests == {"GET": 1}
    here.bring(here.folder / NAME)
    assert server.requests == {"GET": 1}


def test_an_artifact_made_anew_replaces_the_old_one(
    here: RemoteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(here, {"a": "1", "b": "2"})
    other = elsewhere(monkeypatch, tmp_path)
    other.refresh()
    other.bring(other.folder / NAME)
    made(here, {"a": "9"}, "blue")
    (here.folder / NAME / "b").unlink()  # a step empties its folder; this test's does not
    made(here, {"a": "8"}, "green")
    assert sorted(names(here)) == ["a", MANIFEST]
    other.refresh()
    assert not (other.folder / NAME / "b").exists()
    other.bring(other.folder / NAME)
    assert (other.folder / NAME / "a").read_text() == "8"
    verify(other.folder / NAME)


def test_while_an_artifact_is_made_anew_other_machines_see_none(
    here: RemoteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(here, {"a": "1"})
    other = elsewhere(monkeypatch, tmp_path)
    other.refresh()
    with here.locked(print), here.making(here.folder / NAME, (), {}):
        other.refresh()
        assert not (other.folder / NAME).exists()
        write(here.folder / NAME, {"a": "2"})
    other.refresh()
    assert (other.folder / NAME / MANIFEST).is_file()


def test_a_failed_making_publishes_nothing(here: RemoteRun) -> None:
    def fails() -> None:
        with here.locked(print), here.making(here.folder / NAME, (), {}):
            raise TmkdError("no")

    with pytest.raises(TmkdError, match="no"):
        fails()
    assert names(here) == []


def test_a_making_that_fails_where_the_old_files_are_not_leaves_a_run_that_goes_on(
    here: RemoteRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made(here, {"a": "1"})
    there = elsewhere(monkeypatch, tmp_path)

    def fails() -> None:
        with there.locked(print), there.making(there.folder / NAME, (), {}):
            raise TmkdError("no")

    with pytest.raises(TmkdError, match=r"^no$"):
        fails()
    assert not (there.folder / NAME / MANIFEST).exists()
    made(there, {"a": "2"})
    assert sorted(names(there)) == ["a", MANIFEST]


def test_a_publication_whose_reply_is_lost_is_a_success(here: RemoteRun, server: Proxy) -> None:
    server.faults.append(Fault("PUT", f"{NAME}/{MANIFEST}"))
    made(here, {"a": "1"})
    assert sorted(names(here)) == ["a", MANIFEST]
    server.faults.append(Fault("PUT", f"{NAME}/{MANIFEST}", after=1))  # the replacement
    made(here, {"a": "2"})
    stored = here.objects.read(f"{NAME}/{MANIFEST}")
    assert stored is not None
    assert stored.data == (here.folder / NAME / MANIFEST).read_bytes()


def test_two_runs_without_a_common_lock_do_not_overwrite_each_other(
    here: RemoteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here.folder / NAME

    def races() -> None:
        with here.locked(print), here.making(folder, (), {}):
            write(folder, {"a": "1"})
            here.objects.create(f"{NAME}/{MANIFEST}", b'{"by": "another run"}')

    with pytest.raises(Changed, match="another run has written it meanwhile"):
        races()
    stored = here.objects.read(f"{NAME}/{MANIFEST}")
    assert stored is not None
    assert json.loads(stored.data) == {"by": "another run"}


def test_a_lost_lock_stops_the_run_before_it_writes_the_manifest(here: RemoteRun) -> None:
    folder = here.folder / NAME

    def loses() -> None:
        with here.locked(print), here.making(folder, (), {}):
            write(folder, {"a": "1"})
            here.objects.write(LOCK, b'{"nonce": "x", "counter": 1, "holder": "eve@host", "since": "noon"}')

    with pytest.raises(TmkdError, match=r"taken over \(now: eve@host, since noon"):
        loses()
    assert MANIFEST not in names(here)


def test_what_could_not_be_published_is_published_by_the_next_run(here: RemoteRun, server: Proxy) -> None:
    server.faults.append(Fault("PUT", f"{NAME}/a", times=99, status=400, code="ExpiredToken"))
    with pytest.raises(TmkdError, match="credentials have expired; renew them"):
        made(here, {"a": "1"})
    assert MANIFEST not in names(here)
    verify(here.folder / NAME)  # nothing is lost
    server.faults.clear()
    with RemoteRun(URI).locked(print):
        assert sorted(names(here)) == ["a", MANIFEST]
    assert (here.folder / NAME / PUBLISHED).is_file()


def test_an_artifact_that_is_removed_in_storage_is_forgotten_here(here: RemoteRun) -> None:
    folder = made(here, {"a": "1"})
    with here.locked(print):
        here.remove(folder)
        assert names(here) == []
        here.refresh()
    assert not folder.exists()


@pytest.mark.parametrize("there", [b"12", b"", b"123456"], ids=["half", "empty", "other"])
def test_a_damaged_file_in_storage_is_never_taken(
    here: RemoteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bytes
) -> None:
    made(here, {"a": "1234"})
    here.objects.write(f"{NAME}/a", there)
    other = elsewhere(monkeypatch, tmp_path)
    other.refresh()
    with pytest.raises(Damaged, match=r"pairs/web/a: its bytes are not those that were sent"):
        other.bring(other.folder / NAME)
    assert not (other.folder / NAME / "a").exists()


def test_a_file_that_is_missing_in_storage_is_named(
    here: RemoteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(here, {"a": "1234"})
    here.objects.remove([f"{NAME}/a"])
    other = elsewhere(monkeypatch, tmp_path)
    other.refresh()
    with pytest.raises(TmkdError, match=r"pairs/web/a: missing, though manifest\.json lists it"):
        other.bring(other.folder / NAME)


def test_a_cache_without_room_is_told_before_anything_is_fetched(
    here: RemoteRun, server: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(here, {"a": "1" * 10_000})
    other = elsewhere(monkeypatch, tmp_path)
    other.refresh()
    monkeypatch.setenv("TMKD_CACHE_GB", "0.000005")
    with pytest.raises(TmkdError, match="no room for"):
        other.bring(other.folder / NAME)
    assert not [path for method, path in server.asked if method == "GET" and path.endswith(f"{NAME}/a")]


def test_shards_of_an_unfinished_artifact_are_gone_on_with_elsewhere(
    here: RemoteRun, server: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed() -> None:
        with here.locked(print), here.making(here.folder / NAME, ("shard-*",), {}):
            (here.folder / NAME).mkdir(parents=True)
            (here.folder / NAME / "shard-1").write_text("one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    other = elsewhere(monkeypatch, tmp_path)
    server.asked.clear()
    with other.locked(print), other.making(other.folder / NAME, ("shard-*",), {}):
        assert (other.folder / NAME / "shard-1").read_text() == "one"
        write(other.folder / NAME, {"shard-2": "two"})
    sent = [path.rpartition("/")[2] for method, path in server.asked if method == "PUT" and "shard" in path]
    assert sent == ["shard-2"]
    assert sorted(names(other)) == [MANIFEST, "shard-1", "shard-2"]


def test_manifests_are_not_touched_while_a_process_of_this_machine_works_on_the_run(
    here: RemoteRun, server: Proxy
) -> None:
    here.folder.mkdir(parents=True)
    with (here.folder / LOCK).open("wb") as lock:  # as flow/runner.py locks every run folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.requests.clear()
        RemoteRun(URI).refresh_unless_used()
        assert not server.requests
    RemoteRun(URI).refresh_unless_used()
    assert server.requests == {"GET": 1}


def test_a_run_begins_once_those_that_list_its_manifests_have_ended(
    here: RemoteRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: tiny\n")
    listing, go_on = threading.Event(), threading.Event()

    def refresh() -> None:
        listing.set()
        assert go_on.wait(30)

    monkeypatch.setattr(here, "refresh", refresh)
    reader = threading.Thread(target=here.refresh_unless_used)
    reader.start()
    assert listing.wait(30)
    threading.Timer(0.3, go_on.set).start()
    with lock_run(here.folder, recipe):
        assert go_on.is_set()
        with pytest.raises(TmkdError, match="in use by another tmkd process"), lock_run(here.folder, recipe):
            pytest.fail("two runs at once")
    reader.join()


def test_the_holder_of_the_lock_is_told(here: RemoteRun) -> None:
    with here.locked(print):
        assert "process" in here.holder()
        assert "since 20" in here.holder()
    assert here.holder() == ""


def test_a_child_process_that_is_given_the_run_writes_under_its_parents_lock(
    here: RemoteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with here.locked(print):
        child = pickle.loads(pickle.dumps(here))
        with child.making(child.folder / NAME, (), {}):
            write(child.folder / NAME, {"a": "1"})
        assert sorted(names(here)) == ["a", MANIFEST]
        monkeypatch.setenv(HELD, "of another run")
        with pytest.raises(TmkdError, match="taken over"):
            child.check_lock()
        monkeypatch.undo()


def test_a_file_costs_one_request_and_an_artifact_a_few_more(
    here: RemoteRun, server: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"shard-{number}": "1" for number in range(7)}
    with here.locked(print):
        server.requests.clear()
        with here.making(here.folder / NAME, ("shard-*",), {}):
            write(here.folder / NAME, files)
        assert server.requests == {"PUT": 7 + 3, "GET": 3}  # a manifest, two renewals of the lock; it, two listings
    other = elsewhere(monkeypatch, tmp_path)
    server.requests.clear()
    other.refresh()
    other.bring(other.folder / NAME)
    assert server.requests == {"GET": 7 + 3}  # its manifest, and two listings
