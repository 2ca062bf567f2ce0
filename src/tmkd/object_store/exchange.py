"""Exchange of a run's files with the workers of a cluster, through object storage."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tmkd.errors import TmkdError
from tmkd.object_store.remote_run import RemoteRun
from tmkd.object_store.run_lock import LOCK
from tmkd.object_store.uri import CACHE, cache_folder
from tmkd.store import digest_file


@dataclass(frozen=True)
class RunExchange:
    """Exchange of the files of the run at a URI; `folder` is its folder in the cache, the same path on all machines.

    Each method raises Damaged for a file whose bytes are not those that were put.
    """

    uri: str
    folder: Path

    def bring(self, artifact: Path) -> None:
        """Bring a finished artifact of the run, unless it is here.  Raises: TmkdError when it is not there."""
        if artifact.is_relative_to(self.folder):  # each machine has the pretrained models, which are of no run
            self._share_cache()
            _run(self.uri).bring_now(artifact)

    def bring_file(self, path: Path) -> None:
        """Bring a file of the run, unless it is here, and hold it until `drop`.

        Raises: TmkdError when it is not there.
        """
        self._share_cache()
        while not (_hold(path) and self._is_here(path)):  # another worker may drop it meanwhile
            _let_go(path)
            if not self._fetch(path):
                raise TmkdError(f"{self.uri}/{self._name(path)}: not there")

    def put(self, path: Path) -> None:
        """Put a file that this worker has written into the run."""
        self._share_cache()
        _run(self.uri).objects.send(self._name(path), path)

    def drop(self, paths: Sequence[Path]) -> None:
        """Remove files that a worker has read or put, unless another reads them or the command runs on this machine."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("ab") as command:
            ours = _locks(command.fileno(), fcntl.LOCK_SH)  # shared: two workers may ask at once
            for path in paths:
                held = _held.get(path)
                if ours and (held is None or _locks(held, fcntl.LOCK_EX)):
                    path.unlink(missing_ok=True)
                _let_go(path)

    def take(self, path: Path) -> None:
        """Bring a file that a worker has put, if it has put one, unless it is here."""
        if not self._is_here(path):
            self._fetch(path)

    def _is_here(self, path: Path) -> bool:
        return path.is_file() and _run(self.uri).objects.sha256(self._name(path)) == digest_file(path)

    def _fetch(self, path: Path) -> bool:
        """Fetch a file; False where there is none."""
        return _run(self.uri).objects.fetch(self._name(path), path) is not None

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _share_cache(self) -> None:
        """Use the cache that the command uses, by its path.  Raises: TmkdError where another server is meant here."""
        os.environ[CACHE] = str(self.folder.parents[1])
        if cache_folder(self.uri) != self.folder:
            raise TmkdError(f"{self.uri}: another server is meant here; set the same AWS_ENDPOINT_URL on all machines")


_run = cache(RemoteRun)  # one a process: it keeps connections, and holds what it has brought
_held: dict[Path, int] = {}  # files that this worker reads: descriptors, each with a shared lock


def _hold(path: Path) -> bool:
    """Open and lock a file against `drop`; False where there is none."""
    _let_go(path)
    with suppress(FileNotFoundError):
        _held[path] = os.open(path, os.O_RDONLY)
        fcntl.flock(_held[path], fcntl.LOCK_SH)
        return os.path.samestat(os.fstat(_held[path]), path.stat())  # it may have gone before it was locked
    return False


def _let_go(path: Path) -> None:
    if path in _held:
        os.close(_held.pop(path))


def _locks(descriptor: int, kind: int) -> bool:
    """Lock an open file if that is possible at once."""
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    return False
