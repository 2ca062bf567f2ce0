"""Shards of an unfinished artifact: brought before the step goes on, sent while it makes more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tmkd.errors import TmkdError
from tmkd.object_store.failures import Damaged
from tmkd.object_store.objects import Listed, Objects, at_once
from tmkd.store import digest_file

EVERY = 2.0  # seconds between two looks for new shards, at least
_SHARE = 20  # a look may take this part of the time


class Shards:
    """Files of an artifact's folder that are whole once they have their name, by patterns.

    `name` is the artifact's name in object storage. `under` are small files with their content; objects that lie there
    beside others are of no use any more. `sent` maps the names of files that object storage has to their digests.
    """

    def __init__(
        self, objects: Objects, name: str, folder: Path, patterns: Sequence[str], under: Mapping[str, str]
    ) -> None:
        self._objects, self._name, self._folder = objects, name, folder
        self._patterns, self._under = patterns, under
        self.sent: dict[str, str] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def bring(self) -> None:
        """Bring the shards that are there; one whose bytes are not those that were sent is left out."""
        listed = ((one, Path(one.name)) for one in self._objects.list(self._name))
        own = Path(self._name)  # what lies deeper is a step's scratch
        there = [one for one, path in listed if path.parent == own and self._is_shard(path)]
        for file, text in self._under.items():
            stored = self._objects.read(f"{self._name}/{file}")
            if stored is None or stored.data != text.encode():
                self._objects.remove(one.name for one in there)
                self._objects.write(f"{self._name}/{file}", text.encode())
                there = []
            self._put_beside(file, text)
        at_once(self._bring_one, ((one,) for one in there))

    def _put_beside(self, file: str, text: str) -> None:
        """Write such a small file here too, where shards beside another one go first."""
        path = self._folder / file
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            for shard in self._files():
                shard.unlink()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _bring_one(self, one: Listed) -> None:
        path = self._folder / Path(one.name).name
        if path.is_file() and path.stat().st_size == one.size:
            digest = digest_file(path)
            if self._objects.sha256(one.name) == digest:
                self._note(path, digest)
                return
        with suppress(Damaged):  # it is made again
            digest_there = self._objects.fetch(one.name, path)
            if digest_there is not None:
                self._note(path, digest_there)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send new shards from a thread, in a `with` block, and at its end what is left, also after a failure."""
        stop = threading.Event()
        thread = threading.Thread(target=self._send_often, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            with suppress(TmkdError):  # they are sent with the artifact, or by the next run
                self.send()

    def _send_often(self, stop: threading.Event) -> None:
        pause = EVERY
        while not stop.wait(pause):
            start = time.monotonic()
            with suppress(TmkdError):  # tried again with the next look
                self.send()
            pause = max(EVERY, _SHARE * (time.monotonic() - start))

    def send(self) -> None:
        """Send the shards that are new or changed."""
        at_once(self._send_one, ((path,) for path in self._files()))

    def _send_one(self, path: Path) -> None:
        with suppress(FileNotFoundError):  # removed by the step meanwhile
            now = path.stat().st_mtime_ns, path.stat().st_size
            if self._seen.get(path.name) == now:
                return
            digest = digest_file(path)
            if self.sent.get(path.name) != digest:
                self._objects.send(f"{self._name}/{path.name}", path, digest)
            self.sent[path.name], self._seen[path.name] = digest, now

    def _note(self, path: Path, digest: str) -> None:
        self.sent[path.name], self._seen[path.name] = digest, (path.stat().st_mtime_ns, path.stat().st_size)

    def is_kept(self, name: str) -> bool:
        """Whether a file of this name, relative to the artifact, stays for the next time that it is made."""
        return name in self._under or ("/" not in name and self._is_shard(self._folder / name))

    def _is_shard(self, path: Path) -> bool:
        return any(path.match(pattern) for pattern in self._patterns)

    def _files(self) -> list[Path]:
        found = {path for pattern in self._patterns for path in self._folder.glob(pattern)}
        return sorted(path for path in found if path.is_file())
