"""Look-up of answers that were computed offline (§1): the AnswerStore protocol, and LMDB behind it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tmkd.errors import TmkdError, first_line
from tmkd.serve.answer_value import Answer, DamagedEntry, decode
from tmkd.serve.question_key import question_key
from tmkd.serve.store_origin import StoreOrigin
from tmkd.serve.store_version import DATA, OpenVersion, import_lmdb, read_pointer

__all__ = ["Answer", "AnswerStore", "DamagedEntry", "LmdbAnswers"]

RENEW_SECONDS = 1.0
_log = logging.getLogger("tmkd.serve")


class FaultLog:
    """Log of the faults of following a store's pointer: each is a warning once, until it changes or is gone."""

    def __init__(self) -> None:
        self._last = ""

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Go on with the version that was read before."""
        try:
            yield
            self._last = ""
        except TmkdError as error:
            if str(error) != self._last:
                _log.warning("%s; the version before is used", error)
            self._last = str(error)


class AnswerStore(Protocol):
    """Protocol of a store of answers, safe to call from several threads."""

    @property
    def origin(self) -> StoreOrigin:
        """Origin of the answers."""
        ...

    def get(self, question: str) -> tuple[Answer, ...] | None:
        """Look up a question: its answers, best first; () without one above the threshold, None if it is not there.

        Raises: DamagedEntry when the entry's digest is wrong.
        """
        ...

    def refresh(self) -> None:
        """Follow the pointer to the current version; `get` does so at most once a second."""
        ...

    def close(self) -> None:
        """Release the store."""
        ...


class LmdbAnswers:
    """Answer store in a folder, in the version that its pointer names.

    A read transaction is held over look-ups and renewed once a second; when the pointer has moved, the new version is
    opened, and the old one is closed after its last reader in this process. `bundle` and `index` are digests that a
    version must have been made of: another is refused, and one that appears later is not followed by `get`.
    Raises: TmkdError when there is no store, or it is damaged or refused.
    """

    def __init__(self, folder: Path, bundle: str | None = None, index: str | None = None) -> None:
        self._folder, self._bundle, self._index = folder, bundle, index
        self._lock, self._faults = threading.Lock(), FaultLog()
        self._error: type[Exception] = import_lmdb().Error
        self._name, self._shared = self._open()
        self._transaction = self._shared.environment.begin()
        self._due = time.monotonic() + RENEW_SECONDS

    @property
    def origin(self) -> StoreOrigin:
        """Origin of the version that is open."""
        return self._shared.version.origin

    def __len__(self) -> int:
        return self._shared.version.entries

    def get(self, question: str) -> tuple[Answer, ...] | None:
        """Look up a question: see AnswerStore."""
        key = question_key(question)
        with self._lock:
            if time.monotonic() >= self._due:
                with self._faults.logged():
                    self._refresh()
            try:
                value = self._transaction.get(key)
            except self._error as error:
                raise DamagedEntry(f"{self._folder}: {first_line(error)}; run precompute again") from None
        return None if value is None else decode(key, value)

    def refresh(self) -> None:
        """Follow the pointer, or renew the read transaction.

        Raises: TmkdError when the current version is damaged or refused; the version before stays open.
        """
        with self._lock:
            self._refresh()

    def close(self) -> None:
        """End the read transaction and close the version, unless another reader in this process has it."""
        with self._lock:
            self._transaction.abort()
            self._shared.release()

    def _refresh(self) -> None:
        self._due = time.monotonic() + RENEW_SECONDS
        moved = read_pointer(self._folder) != self._name
        name, shared = self._open() if moved else (self._name, self._shared)
        self._transaction.abort()
        if moved:
            self._shared.release()
        self._name, self._shared = name, shared
        self._transaction = shared.environment.begin()

    def _open(self) -> tuple[str, OpenVersion]:
        """Open the current version; a version that goes between two reads of the pointer is no fault."""
        while True:
            name = read_pointer(self._folder)
            try:
                shared = OpenVersion.acquire(self._folder / name)
            except FileNotFoundError as error:
                if read_pointer(self._folder) == name:
                    raise TmkdError(f"{self._folder / name}: missing; run precompute again") from error
                continue
            try:
                require_origin(str(self._folder), shared.version.origin, self._bundle, self._index)
            except TmkdError:
                shared.release()
                raise
            return name, shared


def require_origin(place: str, origin: StoreOrigin, bundle: str | None, index: str | None) -> None:
    """Raises: TmkdError when answers are of another bundle or index than these, by digest."""
    made = origin.scored_by
    for what, has, wanted in (("bundle", made.bundle, bundle), ("index", made.index, index)):
        if wanted is not None and has != wanted:
            raise TmkdError(f"{place}: its answers are of another {what}; run precompute again")


def check_entries(folder: Path) -> int:
    """Check the digest of every entry of a store's current version, and return their number.

    Raises: TmkdError with the number of damaged entries and the first one's key.
    """
    lmdb = import_lmdb()
    place = folder / read_pointer(folder)
    shared = OpenVersion.acquire(place)
    damaged: list[str] = []
    try:
        with shared.environment.begin() as transaction, transaction.cursor() as cursor:
            for key, value in cursor:
                try:
                    decode(key, value)
                except DamagedEntry:
                    damaged.append(key.hex())
    except lmdb.Error as error:
        raise TmkdError(f"{place / DATA}: damaged ({first_line(error)}); run precompute again") from None
    finally:
        shared.release()
    if damaged:
        raise TmkdError(
            f"{place / DATA}: {len(damaged)} of {shared.version.entries} entries are damaged, the first of them "
            f"{damaged[0]}; remove {folder} and run precompute again"
        )
    return shared.version.entries
