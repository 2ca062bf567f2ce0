"""Cache of runs on this machine: bounded; artifacts that lie in object storage go first, the least used before."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

from tmkd.errors import TmkdError, UsageError
from tmkd.store import MANIFEST

MOST = "TMKD_CACHE_GB"  # environment variable: size of the cache
DEFAULT_GB = 50.0
PUBLISHED = ".remote"  # file of an artifact that object storage has: the version of its manifest there
_USED = ".used"  # folder of a run: a file per artifact, locked while a process uses it, its time the last use
_SPARE = 64 << 20  # bytes of the disk that stay free


def most_bytes() -> int:
    """Size of the cache in bytes: TMKD_CACHE_GB, else 50 GB. Raises: UsageError for no positive number."""
    given = os.environ.get(MOST, str(DEFAULT_GB))
    try:
        size = float(given)
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise UsageError(f"{MOST}={given}: a positive number of gigabytes")
    return int(size * 1e9)


class Cache:
    """Artifacts of a run in the cache that this process uses: no process removes them meanwhile."""

    def __init__(self, run: Path) -> None:
        self._run, self._held = run, dict[Path, int]()

    def hold(self, artifact: Path) -> None:
        """Note that an artifact is used, now and until `release`."""
        if artifact not in self._held:
            mark = _mark(self._run, artifact)
            mark.parent.mkdir(parents=True, exist_ok=True)
            held = os.open(mark, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(held, fcntl.LOCK_SH)
            self._held[artifact] = held
        os.utime(_mark(self._run, artifact))

    @contextmanager
    def alone(self, artifact: Path) -> Iterator[None]:
        """Be the only process that brings an artifact, in a `with` block; others wait."""
        mark = _mark(self._run, artifact).with_suffix(".bringing")
        mark.parent.mkdir(parents=True, exist_ok=True)
        with mark.open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def release(self) -> None:
        """End the use of all artifacts."""
        while self._held:
            os.close(self._held.popitem()[1])

    def make_room(self, needed: int) -> None:
        """Remove files of unused artifacts, the least used first, until so many bytes fit; their manifests stay.

        Raises: TmkdError when what is in use leaves no room.
        """
        root, most = self._run.parent.parent, most_bytes()
        root.mkdir(parents=True, exist_ok=True)
        kept, free = _size(root), shutil.disk_usage(root).free
        excess = max(kept + needed - most, needed + _SPARE - free)
        if excess <= 0:
            return
        for run, artifact in _least_used(root):
            excess -= _empty(run, artifact)
            if excess <= 0:
                return
        raise TmkdError(
            f"{root}: no room for {needed / 1e9:.2f} GB in a cache of {most / 1e9:g} GB with {free / 1e9:.2f} GB free "
            f"on its disk, beside what is in use; raise {MOST}, or name a larger disk in TMKD_CACHE"
        )


def _mark(run: Path, artifact: Path) -> Path:
    return run / _USED / artifact.relative_to(run).as_posix().replace("/", "+")


def _size(root: Path) -> int:
    size = 0
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):  # another process has renamed or removed it meanwhile
            found = path.lstat()
            size += found.st_size if S_ISREG(found.st_mode) else 0
    return size


def _least_used(root: Path) -> list[tuple[Path, Path]]:
    """Run folders and those of their artifacts that object storage has, by their last use."""
    found = []
    for published in root.rglob(PUBLISHED):
        run = root.joinpath(*published.relative_to(root).parts[:2])
        mark = _mark(run, published.parent)
        found.append((mark.stat().st_mtime if mark.exists() else 0.0, run, published.parent))
    return [(run, artifact) for _, run, artifact in sorted(found)]


def _empty(run: Path, artifact: Path) -> int:
    """Remove an artifact's files unless a process uses it; returns their bytes."""
    mark = _mark(run, artifact)
    mark.parent.mkdir(exist_ok=True)
    held = os.open(mark, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        before = _size(artifact)
        for path in artifact.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in (MANIFEST, PUBLISHED):
                path.unlink()
        return before - _size(artifact)
    except BlockingIOError:
        return 0
    finally:
        os.close(held)
