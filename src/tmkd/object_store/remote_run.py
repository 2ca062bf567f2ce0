"""Run in object storage and its folder in the cache: manifests brought in, artifacts brought and published."""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmkd.errors import TmkdError
from tmkd.object_store.cache import PUBLISHED, Cache
from tmkd.object_store.objects import Objects, Stored, at_once
from tmkd.object_store.run_lock import LOCK, RunLock, check_parents_lock, holder_words
from tmkd.object_store.shards import Shards
from tmkd.object_store.uri import cache_folder
from tmkd.store import MANIFEST, json_bytes, read_manifest, write_atomic

if TYPE_CHECKING:
    from obstore import UpdateVersion

    from tmkd.object_store.exchange import RunExchange

_WITHDRAWN = "withdrawn"  # key of a manifest's object whose artifact is being made anew


class RemoteRun:
    """Run at a URI, worked on in `folder`; object names are the paths of a local run folder.

    A manifest is written last and under a condition: created, or compared with the version that was withdrawn before.
    It can be pickled; a process that has it without the lock checks its parent's. Methods raise TmkdError when object
    storage fails.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.folder = uri, cache_folder(uri)
        self.objects = Objects(uri)
        self._cache = Cache(self.folder)
        self._lock: RunLock | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"uri": self.uri}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["uri"])  # type: ignore[misc]

    @contextmanager
    def locked(self, wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the run's lock, in a `with` block, with the manifests of now; what an earlier run left is published.

        Raises: TmkdError when another process holds it.
        """
        self._lock = RunLock(self.objects)
        self._lock.acquire(wait)
        try:
            self.refresh()
            for manifest in sorted(self.folder.rglob(MANIFEST)):
                if not (manifest.parent / PUBLISHED).is_file() and read_manifest(manifest.parent) is not None:
                    self._publish(manifest.parent, {}, self._manifest_there(manifest.parent))
            yield
        finally:
            self._lock.release()
            self._lock = None

    def check_lock(self) -> None:
        """Check that the lock is still this run's. Raises: TmkdError when it was taken over."""
        if self._lock is not None:
            self._lock.check()
        else:
            check_parents_lock(self.objects)

    def holder(self) -> str:
        """Holder of the run's lock and since when; empty where it is free."""
        return holder_words(self.objects)

    def refresh_unless_used(self) -> None:
        """Bring the manifests of now, unless a process of this machine works on the run: they are here then."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            (self.folder / ".refreshing").open("ab") as alone,
            (self.folder / LOCK).open("ab") as lock,
            suppress(BlockingIOError),
        ):
            fcntl.flock(alone, fcntl.LOCK_EX)
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: a run that begins waits for its end
            self.refresh()

    def refresh(self) -> None:
        """Bring the manifests that are new or changed, by one listing, and forget those that are gone."""
        known = [*self.folder.rglob(PUBLISHED)]
        names = {}
        for one in self.objects.list():
            if one.name.endswith(f"/{MANIFEST}"):
                names[self.folder / one.name.removesuffix(f"/{MANIFEST}")] = one.version
        changed = [folder for folder, version in names.items() if _published(folder) != version]
        at_once(self.bring_manifest, ((folder,) for folder in changed))
        for mark in known:
            if mark.parent not in names:
                shutil.rmtree(mark.parent, ignore_errors=True)

    def bring_manifest(self, folder: Path) -> None:
        """Bring one manifest; what the folder had under another one goes."""
        there, own = self._manifest_there(folder), folder / MANIFEST
        if there is None:
            return
        if _is_withdrawn(there):
            if (folder / PUBLISHED).is_file():
                shutil.rmtree(folder)
            return
        if not own.is_file() or own.read_bytes() != there.data:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_atomic(own, there.data)
        _note_published(folder, there.version)

    def bring_now(self, folder: Path) -> None:
        """Bring a finished artifact with its manifest of now; one process of this machine does at a time.

        Raises: TmkdError when it is not finished.
        """
        with self._cache.alone(folder):
            self.bring_manifest(folder)
            if not (folder / PUBLISHED).is_file():
                raise TmkdError(f"{self.uri}/{self.name(folder)}: not finished (no {MANIFEST}); run its step again")
            self.bring(folder)

    def bring(self, folder: Path) -> None:
        """Bring the files of a finished artifact that are not here, and hold them until `release`.

        Raises: TmkdError for a file that is not there or damaged, or where the cache has no room.
        """
        if not (folder / PUBLISHED).is_file():
            return
        self._cache.hold(folder)
        manifest = read_manifest(folder)
        absent = [] if manifest is None else [name for name in manifest.files if not (folder / name).is_file()]
        if manifest is None or not absent:
            return
        place = self.name(folder)
        sizes = {one.name: one.size for one in self.objects.list(place)}
        if lost := next((name for name in absent if f"{place}/{name}" not in sizes), ""):
            raise TmkdError(
                f"{self.uri}/{place}/{lost}: missing, though {MANIFEST} lists it; remove {self.uri}/{place} and run "
                "again"
            )
        self._cache.make_room(sum(sizes[f"{place}/{name}"] for name in absent))
        at_once(self.objects.fetch, ((f"{place}/{name}", folder / name, manifest.files[name]) for name in absent))

    def release(self) -> None:
        """End the use of the artifacts that were brought: the cache may drop their files."""
        self._cache.release()

    @contextmanager
    def making(self, folder: Path, patterns: Sequence[str], under: Mapping[str, str]) -> Iterator[None]:
        """Make an artifact in a `with` block: shards come and go, and at its end the artifact is published.

        `patterns` and `under` describe the shards. A finished artifact is withdrawn first: while it is made anew, its
        old manifest is not there.
        """
        self.check_lock()
        self._cache.hold(folder)
        there = self._manifest_there(folder)
        for own in (PUBLISHED, MANIFEST):  # the manifest too: without its files, the next run could not publish it
            (folder / own).unlink(missing_ok=True)
        if there is not None and not _is_withdrawn(there):
            mark = json_bytes({_WITHDRAWN: secrets.token_hex(16)})
            version = self.objects.replace(f"{self.name(folder)}/{MANIFEST}", mark, there.version)
            there = Stored(mark, version, there.modified)
        shards = Shards(self.objects, self.name(folder), folder, patterns, under)
        if patterns:
            shards.bring()
        with shards.sending():
            yield
        self._publish(folder, shards.sent, there)
        self._remove_others(folder, shards)

    def _publish(self, folder: Path, sent: Mapping[str, str], there: Stored | None) -> None:
        """Send an artifact's files, less those that are there, and last its manifest: created, or in the place of
        the one that is there.

        Raises: Changed when another run has written it meanwhile; TmkdError when the lock is lost.
        """
        manifest, place = read_manifest(folder), self.name(folder)
        files = {} if manifest is None else manifest.files
        todo = [
            (f"{place}/{name}", folder / name, digest) for name, digest in files.items() if sent.get(name) != digest
        ]
        at_once(self.objects.send, todo)
        self.check_lock()
        name, data = f"{place}/{MANIFEST}", (folder / MANIFEST).read_bytes()
        version = self.objects.create(name, data) if there is None else self.objects.replace(name, data, there.version)
        _note_published(folder, version)

    def _remove_others(self, folder: Path, shards: Shards) -> None:
        """Remove objects of an artifact that its manifest does not name, less what the next making goes on from."""
        manifest, place = read_manifest(folder), self.name(folder)
        files = {MANIFEST, *(manifest.files if manifest is not None else ())}
        names = (one.name for one in self.objects.list(place))
        inner = [(name, name.removeprefix(f"{place}/")) for name in names]
        self.objects.remove(
            name for name, own in inner if own not in files and not (shards.is_kept(own) and (folder / own).is_file())
        )

    def remove(self, folder: Path) -> None:
        """Remove an artifact from object storage, its manifest first."""
        self.check_lock()
        names = [one.name for one in self.objects.list(self.name(folder))]
        self.objects.remove(name for name in names if name.endswith(f"/{MANIFEST}"))
        self.objects.remove(name for name in names if not name.endswith(f"/{MANIFEST}"))

    def exchange(self) -> RunExchange:
        """Exchange of the run's files with workers of a cluster."""
        from tmkd.object_store.exchange import RunExchange  # its workers open the run anew

        return RunExchange(self.uri, self.folder)

    def name(self, path: Path) -> str:
        """Name in object storage of a file or folder of the run."""
        return path.relative_to(self.folder).as_posix()

    def _manifest_there(self, folder: Path) -> Stored | None:
        return self.objects.read(f"{self.name(folder)}/{MANIFEST}")


def _is_withdrawn(stored: Stored) -> bool:
    try:
        return _WITHDRAWN in json.loads(stored.data)
    except (ValueError, TypeError):
        return False


def _published(folder: Path) -> UpdateVersion | None:
    """Version of the manifest that object storage had when it was brought or published; None where there is none."""
    mark = folder / PUBLISHED
    try:
        return json.loads(mark.read_bytes()) if (folder / MANIFEST).is_file() else None
    except (FileNotFoundError, ValueError):
        return None


def _note_published(folder: Path, version: UpdateVersion) -> None:
    write_atomic(folder / PUBLISHED, json_bytes(version))
