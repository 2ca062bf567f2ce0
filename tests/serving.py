"""Requests to the server's application in this process, and to a server process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny
from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Passage
from tmkd.serve.app import Readiness, make_app, routes
from tmkd.serve.gate import Gate, for_origins, known_hosts
from tmkd.serve.limits import Limits
from tmkd.serve.metrics import Metrics
from tmkd.serve.served import Places, Served
from tmkd.store import write_manifest

QUESTION = tiny.question(3)
TEXTS = [tiny.passage(topic, good) for topic in (3, 4, 5) for good in (True, False)]


@dataclass(frozen=True)
class Reply:
    """Reply to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Content of a JSON body."""
        return json.loads(self.body)


class Client:
    """Client of an application in this process."""

    def __init__(
        self, served: Served, host: str = "127.0.0.1", token: str | None = None, origins: Sequence[str] = ()
    ) -> None:
        self.served, self.metrics, self.readiness = served, Metrics(), Readiness()
        self.readiness.ready = True
        app = make_app(served, self.metrics, self.readiness)
        gate = Gate(app, self.metrics, served.limits, known_hosts(host, ()), token, routes())
        self.app = for_origins(gate, origins)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Reply:
        """GET."""
        return self.send("GET", target, b"", headers)

    def post(self, target: str, content: object, headers: Mapping[str, str] | None = None) -> Reply:
        """POST of some content as JSON, or of bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.send("POST", target, body, {"content-type": "application/json", **(headers or {})})

    def send(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """One request and its reply."""
        return asyncio.run(self.sent(method, target, body, headers))

    async def sent(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None, stay: bool = True
    ) -> Reply:
        """One request and its reply, of a client that stays, or goes away right after its request."""
        path, _, query = target.partition("?")
        every = {"host": "localhost:80", **(headers or {})}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in every.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        requests: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]
        replies: list[Any] = []

        async def receive() -> Any:
            if requests:
                return requests.pop()
            if stay:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            replies.append(message)

        await self.app(scope, receive, send)
        start, *rest = replies
        its = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], its, b"".join(one.get("body", b"") for one in rest))


def write_index(folder: Path) -> Path:
    """A sealed index of the tiny world's passages: each an own document."""
    rows = [(topic, good) for topic in range(len(tiny.TOPICS)) for good in (True, False)]
    texts = [Passage(f"https://tiny.example/{topic}-{good:d}", "", tiny.passage(topic, good)) for topic, good in rows]
    TantivyIndex.build(folder, texts)
    write_manifest(folder, "index", {}, {}, {}, 0.0)
    return folder


def opened(bundle: Path, index: Path | None = None, limits: Limits | None = None, **places: Any) -> Served:
    """What a server would serve, warm."""
    served = Served(Places(bundle, index, **places), limits or Limits(), threads=2)
    served.warm_up()
    return served


@dataclass
class Process:
    """A running server, and where it listens."""

    popen: subprocess.Popen[str]
    port: int
    lines: list[str]

    @property
    def children(self) -> list[int]:
        """Process ids of the processes that serve for it."""
        found = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text().split()
        return [int(one) for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


@contextmanager
def server(*words: object) -> Iterator[Process]:
    """A server process on a free port, ended at the end; its arguments are those of `tmkd serve`."""
    popen = subprocess.Popen(
        tiny.command("serve", *words, "--port", 0),
        env=tiny.environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    lines: list[str] = []
    assert popen.stderr is not None
    try:
        for line in popen.stderr:
            lines.append(line)
            if line.startswith("ready: "):
                port = int(line.split()[1].rpartition(":")[2])
                yield Process(popen, port, lines)
                break
        else:
            raise AssertionError("".join(lines))
    finally:
        popen.terminate()
        try:
            popen.wait(30)
        except subprocess.TimeoutExpired:
            popen.kill()
            raise
        finally:
            popen.stderr.close()


def until(true: Any, seconds: float = 20.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
