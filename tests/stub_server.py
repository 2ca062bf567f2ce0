"""A server of the page's files whose replies a test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tmkd.serve.static_files import page_files

FILES = page_files()


class Reply(NamedTuple):
    """A reply in JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class Question(NamedTuple):
    """A request of /answer: the question and the token that came with it."""

    text: str
    token: str | None


@dataclass
class Stub:
    """What a stub server replies, and what it was asked."""

    address: str = ""
    info: Reply = field(default_factory=lambda: Reply({}))
    answer: Callable[[Question], Reply] = lambda question: Reply({"error": "no such question"}, 404)
    token: str | None = None
    asked: list[Question] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def reply(self, path: str, query: str, token: str | None) -> Reply:
        """Reply to a request that is not one of the page's files."""
        if self.token and token != f"Bearer {self.token}":
            return Reply({"error": "a token is needed", "error_type": "Unauthorized"}, 401)
        if path == "/info":
            return self.info
        question = Question(parse_qs(query)["q"][0], token)
        self.asked.append(question)
        return self.answer(question)


@contextmanager
def stub_server() -> Iterator[Stub]:
    """Run a stub server on a free port of the loopback interface."""
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            stub.fetched.append(url.path)
            if url.path in FILES:
                self.send(200, FILES[url.path].headers, bytes(FILES[url.path].body))
            else:
                body, status, headers = stub.reply(url.path, url.query, self.headers["Authorization"])
                self.send(status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode())

        def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(BrokenPipeError):  # a question that was given up
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stub.address = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
