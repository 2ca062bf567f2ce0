"""Look-up past one machine: the AnswerStore protocol on Redis, loaded from a store in a folder."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tmkd.errors import TmkdError, first_line, optional_import
from tmkd.serve.answer_value import Answer, decode
from tmkd.serve.lookup import RENEW_SECONDS, AnswerStore, FaultLog, LmdbAnswers, require_origin
from tmkd.serve.question_key import question_key
from tmkd.serve.store_origin import StoreOrigin
from tmkd.serve.store_version import OpenVersion, read_pointer

_SCHEMES = ("redis://", "rediss://", "unix://")
FORMAT = 1
_NAME = "tmkd"  # of a store whose URL has no fragment
_SECONDS = 1.0  # of waiting for the server, at most
_BATCH = 10_000  # entries of one pipeline


@dataclass(frozen=True, slots=True)
class RedisVersion:
    """Value of the pointer key: number of the current version, number of its entries, origin of the answers."""

    number: int
    entries: int
    origin: StoreOrigin


class RedisAnswers:
    """Answer store on a Redis server, in the version that its pointer key names.

    URLs are those of redis-py; a fragment names the store, as in `redis://host:6379/0#faq`. The pointer is read once a
    second. `bundle` and `index` are digests that a version must have been made of, as with LmdbAnswers.
    Raises: TmkdError when the server cannot be reached, or the store is missing, damaged or refused.
    """

    def __init__(self, url: str, bundle: str | None = None, index: str | None = None) -> None:
        self._server = _Server(url)
        self._bundle, self._index = bundle, index
        self._lock, self._faults = threading.Lock(), FaultLog()
        self._version = self._current()
        self._due = time.monotonic() + RENEW_SECONDS

    @property
    def origin(self) -> StoreOrigin:
        """Origin of the version that is read."""
        return self._version.origin

    def __len__(self) -> int:
        return self._version.entries

    def get(self, question: str) -> tuple[Answer, ...] | None:
        """Look up a question: see AnswerStore.  Raises: TmkdError also when the server does not answer in a second."""
        key = question_key(question)
        with self._lock:
            late = time.monotonic() >= self._due
            if late:
                self._due = time.monotonic() + RENEW_SECONDS
        if late:
            self._follow()
        number = self._version.number
        value = self._server.entry(number, key)
        if value is None:
            self._follow()  # the version may have been removed
            if self._version.number != number:
                value = self._server.entry(self._version.number, key)
        return None if value is None else decode(key, value)

    def refresh(self) -> None:
        """Follow the pointer.  Raises: TmkdError when the current version is missing, damaged or refused."""
        version = self._current()
        with self._lock:
            # The same object as long as the version is the same: a server compares origins by identity.
            if version != self._version:
                self._version = version

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _follow(self) -> None:
        with self._faults.logged():
            self.refresh()

    def _current(self) -> RedisVersion:
        version = self._server.current()
        if version is None:
            raise TmkdError(f"{self._server}: no answer store; load one with: tmkd precompute RECIPE --lookup URL")
        require_origin(str(self._server), version.origin, self._bundle, self._index)
        return version


def open_answers(place: str, bundle: str | None = None, index: str | None = None) -> AnswerStore:
    """Open the answer store in a folder, or on a Redis server by its URL.  Raises: TmkdError: see the two classes."""
    return RedisAnswers(place, bundle, index) if is_url(place) else LmdbAnswers(Path(place), bundle, index)


def is_url(place: str) -> bool:
    """Whether a store's place is the URL of a Redis server."""
    return place.startswith(_SCHEMES)


def load_redis(url: str, folder: Path) -> int:
    """Copy the current version of a store in a folder to a Redis server, and return the number of its entries.

    Entries are written under the number of a new version; then the pointer key moves, and versions older than the one
    before are removed, as is what an interrupted load has left.
    Raises: TmkdError when there is no store, or the server cannot be reached or is full.
    """
    server = _Server(url)
    shared = OpenVersion.acquire(folder / read_pointer(folder))
    try:
        before = server.current()
        number = server.new_number()
        with shared.environment.begin() as transaction, transaction.cursor() as cursor:
            server.write(number, iter(cursor))
        kept = 0 if before is None else before.number
        server.write_pointer(RedisVersion(number, shared.version.entries, shared.version.origin))
        server.remove_but({number, kept})
    finally:
        shared.release()
        server.close()
    return shared.version.entries


class _Server:
    """Keys of one store on a Redis server: NAME:current, NAME:last and NAME:VERSION:KEY."""

    def __init__(self, url: str) -> None:
        with optional_import("a look-up store on Redis needs", "redis"):
            import redis
        address, _, name = url.partition("#")
        self._name = name or _NAME
        parts = urlsplit(address)
        # Without the user and the password.
        self._shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        if not re.fullmatch(r"[\w.-]+", self._name):
            raise TmkdError(f"{self}: '{self._name}' is no name of a store; take letters, digits, '.', '-' and '_'")
        self._error = redis.exceptions.RedisError
        try:
            self._client = redis.Redis.from_url(address, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
        except ValueError as error:
            raise TmkdError(f"{self}: {first_line(error)}") from None

    def __str__(self) -> str:
        return f"{self._shown}#{self._name}"

    def current(self) -> RedisVersion | None:
        """Version that the pointer key names; None without one.  Raises: TmkdError when it is damaged."""
        with self._told():
            value: Any = self._client.get(f"{self._name}:current")
        if value is None:
            return None
        try:
            content = json.loads(value)
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}")
            return RedisVersion(int(content["number"]), int(content["entries"]), StoreOrigin.of(content["origin"]))
        except (ValueError, KeyError, TypeError) as error:
            raise TmkdError(f"{self}: its pointer is damaged ({first_line(error)}); load the store again") from None

    def new_number(self) -> int:
        """Number of a version that nobody else has."""
        with self._told():
            return int(self._client.incr(f"{self._name}:last"))  # type: ignore[arg-type]

    def entry(self, number: int, key: bytes) -> bytes | None:
        """Value of a key in a version."""
        with self._told():
            value: Any = self._client.get(self._key(number, key))
        return value

    def write(self, number: int, entries: Iterator[tuple[bytes, bytes]]) -> None:
        """Write entries into a version, in pipelines."""
        while batch := list(islice(entries, _BATCH)):
            with self._told(), self._client.pipeline(transaction=False) as pipeline:
                for key, value in batch:
                    pipeline.set(self._key(number, key), value)
                pipeline.execute()

    def write_pointer(self, version: RedisVersion) -> None:
        """Make a version the current one."""
        with self._told():
            self._client.set(f"{self._name}:current", json.dumps({"format": FORMAT, **asdict(version)}))

    def remove_but(self, kept: set[int]) -> None:
        """Remove the entries of all versions but some."""
        with self._told():
            every = self._client.scan_iter(match=f"{self._name}:*", count=_BATCH)
            old = (key for key in every if self._number(key) not in {*kept, None})
            while batch := list(islice(old, _BATCH)):
                self._client.unlink(*batch)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _key(self, number: int, key: bytes) -> bytes:
        return f"{self._name}:{number}:".encode() + key

    def _number(self, name: bytes) -> int | None:
        """Version of an entry by its name; None for other keys."""
        parts = name[len(self._name) + 1 :].split(b":", 1)
        return int(parts[0]) if len(parts) == 2 and parts[0].isdigit() else None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise TmkdError(f"{self}: {first_line(error)}") from None
