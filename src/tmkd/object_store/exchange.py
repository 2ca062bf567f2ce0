"""Exchange of a run's files with the workers of a cluster, through object storage."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tmkd.errors import TmkdError
from tmkd.object_store.remote_run import RemoteRun
from tmkd.object_store.uri import CACHE, cache_folder
from tmkd.store import digest_file


@dataclass(frozen=True)
class RunExchange:
    """Exchange of the files of the run at a URI; `folder` is its folder in the cache, the same path on all machines.

    What a worker has brought stays in its machine's cache as long as the worker lives. Each method raises Damaged for a
    file whose bytes are not those that were put.
    """

    uri: str
    folder: Path

    def bring(self, artifact: Path) -> None:
        """Bring a finished artifact of the run, unless it is here.  Raises: TmkdError when it is not there."""
        if artifact.is_relative_to(self.folder):  # each machine has the pretrained models, which are of no run
            self._share_cache()
            _run(self.uri).bring_now(artifact)

    def bring_file(self, path: Path) -> None:
        """Bring a file of the run, unless it is here.  Raises: TmkdError when it is not there."""
        self._share_cache()
        if not self._is_here(path) and not self._fetch(path):
            raise TmkdError(f"{self.uri}/{self._name(path)}: not there")

    def put(self, path: Path) -> None:
        """Put a file that this worker has written into the run."""
        self._share_cache()
        _run(self.uri).objects.send(self._name(path), path)

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
