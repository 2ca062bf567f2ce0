"""Version of an answer store on disk: a folder with an LMDB file, and the pointer that names the current one."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from tmkd.errors import TmkdError, first_line, optional_import
from tmkd.serve.store_origin import StoreOrigin
from tmkd.store import json_bytes, write_atomic

if TYPE_CHECKING:
    import lmdb

POINTER = "current"  # file with the name of the current version's folder
DATA = "data.mdb"
ABOUT = "store.json"
FORMAT = 1
_NAME = re.compile(r"version-\d{5,}")


@dataclass(frozen=True, slots=True)
class StoreVersion:
    """Content of store.json: number of entries, bytes of the LMDB file, origin of the answers."""

    entries: int
    bytes: int
    origin: StoreOrigin

    def write(self, folder: Path) -> None:
        """Write store.json."""
        write_atomic(folder / ABOUT, json_bytes({"format": FORMAT, **asdict(self)}))


def read_pointer(folder: Path) -> str:
    """Name of the current version's folder.  Raises: TmkdError when there is none or it is no such name."""
    path = folder / POINTER
    try:
        name = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise TmkdError(
            f"{folder}: no answer store ({first_line(error)}); make one with: tmkd precompute RECIPE"
        ) from None
    if not _NAME.fullmatch(name):
        raise TmkdError(f"{path}: damaged; run precompute again")
    return name


def write_pointer(folder: Path, name: str) -> None:
    """Make a version the current one, atomically: readers see the old version or the new."""
    write_atomic(folder / POINTER, f"{name}\n".encode())


def version_name(number: int) -> str:
    """Name of the folder of a version, by its number."""
    return f"version-{number:05d}"


def read_version(folder: Path) -> StoreVersion:
    """Read store.json of a version's folder, and compare the size of its file.

    Raises: TmkdError when the version is missing, damaged, cut off or of another format; FileNotFoundError when its
    folder has gone.
    """
    path = folder / ABOUT
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content.pop("format") != FORMAT:
            raise TmkdError(f"{path}: not of format {FORMAT}; run precompute again")
        version = StoreVersion(int(content["entries"]), int(content["bytes"]), StoreOrigin.of(content["origin"]))
        size = (folder / DATA).stat().st_size
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TmkdError(f"{path}: damaged ({first_line(error)}); run precompute again") from None
    # A page that is not there would end the process when the memory map reads it.
    if size < version.bytes:
        raise TmkdError(f"{folder / DATA}: {size:,} of {version.bytes:,} bytes; run precompute again")
    return version


def import_lmdb() -> ModuleType:
    """The module lmdb, of the extra `serve`.  Raises: TmkdError with the command that installs it."""
    with optional_import("the answer store needs", "lmdb"):
        import lmdb
    return lmdb


class OpenVersion(NamedTuple):
    """Environment of a version, shared by its readers in this process; `file` identifies its file."""

    file: tuple[int, int]
    version: StoreVersion
    environment: lmdb.Environment

    @classmethod
    def acquire(cls, folder: Path) -> OpenVersion:
        """Open a version, or share it with its other readers.

        Raises: TmkdError when it is damaged; FileNotFoundError when its folder has gone.
        """
        lmdb = import_lmdb()
        with _open_lock:
            version = read_version(folder)
            status = (folder / DATA).stat()
            file = status.st_dev, status.st_ino
            shared, readers = _open.get(file, (None, 0))
            if shared is None:
                size = version.bytes
                try:
                    environment = lmdb.open(
                        str(folder), map_size=size, readonly=True, create=False, lock=False, readahead=False
                    )
                except lmdb.Error as error:
                    raise TmkdError(f"{folder / DATA}: damaged ({first_line(error)}); run precompute again") from None
                shared = cls(file, version, environment)
            _open[file] = shared, readers + 1
            return shared

    def release(self) -> None:
        """Close the version after its last reader."""
        with _open_lock:
            _, readers = _open.pop(self.file)
            if readers > 1:
                _open[self.file] = self, readers - 1
            else:
                self.environment.close()


# LMDB forbids two environments on one file in a process.
_open: dict[tuple[int, int], tuple[OpenVersion, int]] = {}
_open_lock = threading.Lock()
