"""Files of a run for a worker on another machine: brought to its own cache, and put back once made."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tmkd.object_store.remote_run import RemoteRun


def bring(uri: str, artifact: str) -> Path:
    """Bring a finished artifact of a run, such as `pairs/web`, to this machine's cache; returns its folder.

    What is here already is not fetched again, and stays as long as this process lives. Raises: TmkdError when the
    artifact is not finished, or damaged.
    """
    folder = _run(uri).folder / artifact
    _run(uri).bring_now(folder)
    return folder


def bring_file(uri: str, name: str) -> Path | None:
    """Bring one file of an unfinished artifact, such as a shard that a worker has put; None where there is none.

    Raises: Damaged when its bytes are not those that were put.
    """
    path = _run(uri).folder / name
    return None if _run(uri).objects.fetch(name, path) is None else path


def put(uri: str, name: str, file: Path) -> None:
    """Put a file that this worker has made into a run, whole or not at all."""
    _run(uri).objects.send(name, file)


_run = cache(RemoteRun)  # one a process: it keeps connections, and holds what it has brought
