"""Lock of a run in object storage: an object that one process renews; all its writes are conditional."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from tmkd.errors import TmkdError
from tmkd.object_store.failures import Changed
from tmkd.object_store.objects import Objects, Stored

if TYPE_CHECKING:
    from obstore import UpdateVersion

LOCK = ".lock"
HEARTBEAT = 10.0  # seconds between two renewals, and between two looks at another's lock
UNMOVED = 4  # looks without a renewal after which a lock is stale
HELD = "TMKD_LOCK"  # environment variable: nonce of the lock that this process or its parent holds


@dataclass(frozen=True)
class Holding:
    """Content of the lock object. `nonce` and `counter` make every content, and so every etag, unique.

    `holder` is empty where the lock is free; `since` is the server's time at which the holder took it.
    """

    nonce: str
    counter: int
    holder: str
    since: str

    @classmethod
    def of(cls, stored: Stored) -> Holding:
        """Content of a stored lock; one that cannot be read is held by an unknown process until it is stale."""
        try:
            found = cls(**json.loads(stored.data))
        except (ValueError, TypeError):
            return cls("", 0, "an unknown process", "")
        return found

    def encoded(self) -> bytes:
        """JSON of the lock object."""
        return json.dumps(asdict(self)).encode()


class RunLock:
    """Lock of one run. A thread renews it; a lock that another process took over is noticed before the next write.

    Whether a holder lives is judged by its renewals alone: counter and the server's Last-Modified must move while this
    process watches. No machine's wall clock takes part.
    """

    def __init__(self, objects: Objects, heartbeat: float = HEARTBEAT) -> None:
        self._objects, self._heartbeat = objects, heartbeat
        self._before = os.environ.get(HELD, "")  # of this process before it was replaced by a fresh one
        self._mine = Holding("", 0, "", "")
        self._version: UpdateVersion = {}
        self._lost = ""
        self._mutex, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._renew_often, daemon=True)

    def acquire(self, wait: Callable[[str], None]) -> None:
        """Take the lock and begin to renew it; `wait` is told once when another's lock is watched for renewals.

        Raises: TmkdError naming the holder when it lives.
        """
        self._mine = Holding(secrets.token_hex(16), 1, _this_process(), "")
        while True:
            found = self._objects.read(LOCK)
            holding = None if found is None else Holding.of(found)
            others = holding is not None and holding.holder and not (self._before and holding.nonce == self._before)
            if found is not None and holding is not None and others:
                wait(f"{self._objects.uri} is locked by {_words(holding, found)}; watching whether it still works")
                found = self._watch(found)
            try:
                data = self._mine.encoded()
                self._version = (
                    self._objects.create(LOCK, data)
                    if found is None
                    else self._objects.replace(LOCK, data, found.version)
                )
                break
            except Changed:
                winner = self._objects.read(LOCK)
                if winner is not None and Holding.of(winner).holder:
                    raise self._held(winner) from None
        mine = self._objects.read(LOCK)
        since = "" if mine is None else mine.modified.strftime("%Y-%m-%d %H:%M:%S UTC")
        self._mine = replace(self._mine, since=since)
        os.environ[HELD] = self._mine.nonce
        self._thread.start()

    def _watch(self, found: Stored) -> Stored | None:
        """Watch another's lock until it is free or stale, and return it then. Raises: TmkdError when it is renewed."""
        looks = 0
        while looks < UNMOVED:
            time.sleep(self._heartbeat)
            now = self._objects.read(LOCK)
            if now is None or not Holding.of(now).holder:
                return now
            if (now.data, now.modified) != (found.data, found.modified):
                raise self._held(now)
            looks += 1
        return found

    def _held(self, found: Stored) -> TmkdError:
        return TmkdError(
            f"{self._objects.uri} is in use by another tmkd process: {_words(Holding.of(found), found)}; wait for it, "
            "or give another --runs"
        )

    def check(self) -> None:
        """Renew the lock now. Raises: TmkdError when another process has taken it over."""
        with self._mutex:
            if not self._lost:
                renewed = replace(self._mine, counter=self._mine.counter + 1)
                try:
                    self._version = self._objects.replace(LOCK, renewed.encoded(), self._version)
                    self._mine = renewed
                except Changed:
                    self._lost = _lost(self._objects)
            if self._lost:
                raise TmkdError(self._lost)

    def _renew_often(self) -> None:
        while not self._stop.wait(self._heartbeat):
            with suppress(TmkdError):  # a lost lock is told by the next check; a server out of reach is tried again
                self.check()

    def release(self) -> None:
        """Stop the renewals and free the lock; where the server cannot be reached it becomes stale by itself."""
        os.environ.pop(HELD, None)
        self._stop.set()
        self._thread.join()
        free = Holding(self._mine.nonce, self._mine.counter + 1, "", "")
        if not self._lost:
            with suppress(TmkdError):
                self._objects.replace(LOCK, free.encoded(), self._version)


def holder_words(objects: Objects) -> str:
    """Holder of a run's lock and since when; empty where it is free."""
    found = objects.read(LOCK)
    return "" if found is None or not Holding.of(found).holder else _words(Holding.of(found), found)


def check_parents_lock(objects: Objects) -> None:
    """Check that the lock which a parent process holds is still its own. Raises: TmkdError when it is not."""
    found = objects.read(LOCK)
    if found is None or Holding.of(found).nonce != os.environ.get(HELD, ""):
        raise TmkdError(_lost(objects, found))


def _lost(objects: Objects, found: Stored | None = None) -> str:
    found = objects.read(LOCK) if found is None else found
    holder = "nobody: it was removed" if found is None else _words(Holding.of(found), found)
    return f"{objects.uri}: this run's lock was taken over (now: {holder}); nothing more is written"


def _words(holding: Holding, found: Stored) -> str:
    renewed = found.modified.strftime("%Y-%m-%d %H:%M:%S UTC")
    since = holding.since or renewed
    return f"{holding.holder or 'nobody'}, since {since}, renewed {renewed} (the server's time)"


def _this_process() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without a list of users
        user = "user"
    return f"{user}@{socket.gethostname()}, process {os.getpid()}"
