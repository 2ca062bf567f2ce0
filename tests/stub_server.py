"""A server of the page's files whose replies a test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import tmkd

PAGE = Path(tmkd.__file__).parent / "serve" / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


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
            file = PAGE / (url.path[1:] or "index.html")
            if file.parent == PAGE and file.is_file():
                self.send(200, {"Content-Type": f"{TYPES[file.suffix]}; charset=utf-8"}, file.read_bytes())
            else:
                body, status, headers = stub.reply(url.path, url.query, self.headers["Authorization"])
                self.send(status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode())

        def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Security-Policy": POLICY, "Content-Length": str(len(body)), **headers}.items():
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
