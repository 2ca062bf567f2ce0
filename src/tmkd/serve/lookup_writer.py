"""Writer of an answer store: sorted entries → a new version, made current by an atomically replaced pointer."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from tmkd.errors import TmkdError, first_line
from tmkd.serve.store_origin import StoreOrigin
from tmkd.serve.store_version import DATA, StoreVersion, import_lmdb, read_pointer, version_name, write_pointer

_ENTRIES_PER_COMMIT = 1 << 17  # bounds the pages that a transaction holds in memory
_LARGEST_MAP = 1 << 40  # bytes of address space; the file takes what its entries need


def write_version(folder: Path, origin: StoreOrigin, entries: Iterable[tuple[bytes, bytes]]) -> StoreVersion:
    """Write entries, sorted by key and distinct, as a new version of the store in `folder`, and make it current.

    The version before stays, hidden, until the next: a server may be about to open it. What was never current goes.
    Raises: TmkdError when it cannot be written; the version before is current then. ValueError for another order.
    """
    before = _current(folder)
    for old in [*folder.glob("version-*"), *folder.glob(".version-*")]:
        if old.name != before:
            shutil.rmtree(old)
    name = version_name(1 + (int(before.rpartition("-")[2]) if before else 0))
    part = folder / f".{name}.part"
    part.mkdir(parents=True)
    version = StoreVersion(_load(part, entries), (part / DATA).stat().st_size, origin)
    version.write(part)
    part.rename(folder / name)
    write_pointer(folder, name)
    if before:
        (folder / before).rename(folder / f".{before}")
    return version


def _current(folder: Path) -> str:
    try:
        return read_pointer(folder)
    except TmkdError:
        return ""


def _load(folder: Path, entries: Iterable[tuple[bytes, bytes]]) -> int:
    """Write the LMDB file of a version, and return the number of its entries."""
    lmdb = import_lmdb()
    stream = iter(entries)
    count = 0
    try:
        with lmdb.open(str(folder), map_size=_LARGEST_MAP, sync=False, lock=False) as environment:
            more = True
            while more:
                with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                    taken, added = cursor.putmulti(islice(stream, _ENTRIES_PER_COMMIT), append=True)
                if added < taken:
                    raise ValueError("entries are not sorted, or a key comes twice")
                count += added
                more = taken > 0
            environment.sync(True)
    except lmdb.Error as error:
        raise TmkdError(f"{folder / DATA}: cannot be written: {first_line(error)}; run precompute again") from None
    return count
