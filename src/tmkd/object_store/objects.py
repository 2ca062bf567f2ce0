"""Objects below a URI: read, written under a condition, listed; files sent and fetched whole, with their SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tmkd.errors import TmkdError, optional_import
from tmkd.object_store.failures import Changed, Damaged, bucket_absent, told
from tmkd.store import digest_file

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ObjectStore, RetryConfig

SHA256 = "sha256"  # attribute of an object: the digest of its content
PARALLEL = 8  # transfers at once
_PART = 8 << 20  # bytes of a part of a multipart upload, at least
_MOST_PARTS = 9000
_CONFLICTS = 5  # times that a create is tried where another writer's failed beside it
RETRIES: RetryConfig = {
    "max_retries": 8,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=10), "base": 2},
}


class Stored(NamedTuple):
    """Content of an object, the version that a compare-and-swap names, and the server's time of the last write."""

    data: bytes
    version: UpdateVersion
    modified: datetime


class Listed(NamedTuple):
    """Entry of a listing: name, size in bytes, version."""

    name: str
    size: int
    version: UpdateVersion


@dataclass(frozen=True)
class Objects:
    """Objects below a URI; names are relative to it. Opened at the first request, through obstore's own settings.

    Every method raises TmkdError, in one line, when server, network or credentials fail after bounded retries.
    """

    uri: str

    @cached_property
    def _store(self) -> ObjectStore:
        with optional_import("a run folder in object storage needs", "obstore"):
            from obstore.store import from_url
        options: Any = {"timeout": "1h", "read_timeout": "60s", "connect_timeout": "5s"}
        if any(value.startswith("http://") for name, value in os.environ.items() if "ENDPOINT" in name):
            options["allow_http"] = True
        with told(self.uri, "open"):
            return from_url(self.uri, client_options=options, retry_config=RETRIES)

    def __getstate__(self) -> dict[str, Any]:
        return {"uri": self.uri}

    def read(self, name: str) -> Stored | None:
        """An object's content; None where there is none."""
        import obstore

        store = self._store
        with told(self.uri, "read"):
            try:
                found = obstore.get(store, name)
                data = bytes(found.bytes())
            except FileNotFoundError as error:
                if bucket_absent(error):
                    raise
                return None
        return Stored(data, _version(found.meta), found.meta["last_modified"])

    def create(self, name: str, data: bytes) -> UpdateVersion:
        """Write an object that must not be there yet; one with this very content is taken for a lost reply.

        Raises: Changed when it is there with another content.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        store = self._store
        for _ in range(_CONFLICTS):
            with told(self.uri, "write"):
                try:
                    return _version(obstore.put(store, name, data, mode="create"))
                except AlreadyExistsError:
                    there = self.read(name)
            if there is not None and there.data == data:
                return there.version
            if there is not None:
                break
            # A server may answer so to two writers at once and keep neither's object: tried again.
        raise Changed(f"{self.uri}/{name}: another run has written it meanwhile; run the same command again")

    def replace(self, name: str, data: bytes, version: UpdateVersion) -> UpdateVersion:
        """Replace an object that must still have a version; one with this very content is taken for a lost reply.

        Raises: Changed when another writer has replaced or removed it.
        """
        import obstore
        from obstore.exceptions import PreconditionError

        store = self._store
        with told(self.uri, "write"):
            try:
                return _version(obstore.put(store, name, data, mode=version))
            except (PreconditionError, FileNotFoundError):
                there = self.read(name)
        if there is not None and there.data == data:
            return there.version
        raise Changed(f"{self.uri}/{name}: another run has replaced it meanwhile; run the same command again")

    def write(self, name: str, data: bytes) -> None:
        """Write a small object, whatever was there before."""
        import obstore

        store = self._store
        with told(self.uri, "write"):
            obstore.put(store, name, data)

    def send(self, name: str, path: Path, sha256: str = "") -> str:
        """Send a file, in parts where it is large; returns its SHA-256, which the object keeps beside its content."""
        import obstore

        digest, store = sha256 or digest_file(path), self._store
        part = max(_PART, path.stat().st_size // _MOST_PARTS + 1)
        with told(self.uri, "write"):
            obstore.put(store, name, path, attributes={SHA256: digest}, chunk_size=part, max_concurrency=4)
        return digest

    def fetch(self, name: str, path: Path, sha256: str = "") -> str | None:
        """Fetch an object into a file that is whole or not there at all; returns its SHA-256, None without an object.

        Raises: Damaged when the content has not this digest, or not the one that was sent with it; TmkdError when the
        disk is full.
        """
        import obstore

        store = self._store
        part = path.with_name(f".{path.name}.{os.getpid()}.part")  # another process may fetch it too
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with told(self.uri, "read"):
                try:
                    found = obstore.get(store, name)
                except FileNotFoundError as error:
                    if bucket_absent(error):
                        raise
                    return None
                digest = hashlib.sha256()
                with part.open("wb") as file:
                    for piece in found.stream(min_chunk_size=_PART):
                        digest.update(piece)
                        file.write(piece)
            wanted = sha256 or found.attributes.get(SHA256, "")
            if digest.hexdigest() != wanted:
                raise Damaged(f"{self.uri}/{name}: its bytes are not those that were sent; remove it and run again")
            os.replace(part, path)
        except OSError as error:
            raise TmkdError(f"{path}: cannot be written: {error.strerror}; the cache lies in TMKD_CACHE") from error
        finally:
            part.unlink(missing_ok=True)
        return wanted

    def sha256(self, name: str) -> str:
        """Digest that an object was sent with; empty for an object of another writer, or none."""
        import obstore

        store = self._store
        with told(self.uri, "read"):
            try:
                return str(obstore.get(store, name, options={"head": True}).attributes.get(SHA256, ""))
            except FileNotFoundError:
                return ""

    def list(self, folder: str = "") -> Iterator[Listed]:
        """All objects below a folder, in the order of their names; a request per 1,000."""
        import obstore

        store = self._store
        with told(self.uri, "list"):
            for found in obstore.list(store, prefix=folder or None, chunk_size=1000):
                for one in found:
                    yield Listed(one["path"], one["size"], _version(one))

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; one that is not there is no failure."""
        import obstore

        store = self._store
        if found := list(names):
            with told(self.uri, "remove"):
                obstore.delete(store, found)


def at_once(work: Any, pieces: Iterable[Any]) -> Any:
    """Map of a transfer over names, several at once, in order; the first failure ends it."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(lambda piece: work(*piece), pieces))


def _version(found: Any) -> UpdateVersion:
    """What a compare-and-swap names: an etag, in quotes, and in some clouds a version."""
    version: UpdateVersion = {}
    if (etag := found.get("e_tag")) is not None:
        version["e_tag"] = etag if etag.endswith('"') else f'"{etag}"'  # Azure's listings leave the quotes out
    if found.get("version") is not None:
        version["version"] = found["version"]
    return version
