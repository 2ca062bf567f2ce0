"""Exchange of a run's files with the workers of a cluster, through object storage."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tmkd.errors import TmkdError
from tmkd.object_store import worker
from tmkd.object_store.objects import Objects
from tmkd.object_store.uri import CACHE, cache_folder
from tmkd.store import digest_file


@dataclass(frozen=True)
class RunExchange:
    """Exchange of the files of the run at a URI; `folder` is its folder in the cache, the same path on all machines."""

    uri: str
    folder: Path

    def bring(self, artifact: Path) -> None:
        """Bring a finished artifact of the run, unless it is here.  Raises: TmkdError when it is not there."""
        if artifact.is_relative_to(self.folder):  # each machine has the pretrained models, which are of no run
            self._share_cache()
            worker.bring(self.uri, self._name(artifact))

    def bring_file(self, path: Path) -> None:
        """Bring a file of the run, unless it is here.  Raises: TmkdError when it is not there."""
        self._share_cache()
        if not self._is_here(path) and worker.bring_file(self.uri, self._name(path)) is None:
            raise TmkdError(f"{self.uri}/{self._name(path)}: not there")

    def put(self, path: Path) -> None:
        """Put a file that this worker has written into the run."""
        self._share_cache()
        worker.put(self.uri, self._name(path), path)

    def take(self, path: Path) -> None:
        """Bring a file that a worker has put, if it has put one, unless it is here."""
        if not self._is_here(path):
            worker.bring_file(self.uri, self._name(path))

    def _is_here(self, path: Path) -> bool:
        return path.is_file() and Objects(self.uri).sha256(self._name(path)) == digest_file(path)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _share_cache(self) -> None:
        """Use the cache that the command uses, by its path.  Raises: TmkdError where another server is meant here."""
        os.environ[CACHE] = str(self.folder.parents[1])
        if cache_folder(self.uri) != self.folder:
            raise TmkdError(f"{self.uri}: another server is meant here; set the same AWS_ENDPOINT_URL on all machines")
