"""S3 servers on loopback: moto behind a proxy that counts requests and plays faults, and SeaweedFS for races."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BUCKET = "tmkd-runs"
INSTALL = "pip install -c constraints.txt 'tmkd[objects-test]'"
KEY, SECRET, TOKEN = "AKIATESTKEY", "test+secret/key", "test-session-token"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": TOKEN,
    "AWS_REGION": "us-east-1",
}


@dataclass
class Fault:
    """Fault of the next `times` requests of a method whose path has a text in it, after `after` such requests.

    `status` and `code` answer in the server's place; without them the request is served, and its reply is lost, or
    with `cut` the reply ends after half of its body.
    """

    method: str
    text: str
    times: int = 1
    after: int = 0
    status: int = 0
    code: str = ""
    cut: bool = False

    def strikes(self, method: str, path: str) -> bool:
        if method != self.method or self.text not in path or not self.times:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Proxy:
    """HTTP proxy in front of one server: `requests` by method, `moved` bytes that were sent and received."""

    port: int
    faults: list[Fault] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve in threads; gives the endpoint's URL."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError):
                    super().handle_one_request()

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _forward(self) -> None:
                proxy.forward(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def forward(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self.lock:
            self.requests[handler.command] += 1
            self.asked.append((handler.command, handler.path))
            self.moved["sent"] += len(body)
            fault = next((one for one in self.faults if one.strikes(handler.command, handler.path)), None)
        if fault is not None and fault.status:
            text = f"<Error><Code>{fault.code}</Code><Message>{KEY} {SECRET} {TOKEN}</Message></Error>"
            self._answer(handler, fault.status, {}, text.encode())
            return
        server = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            server.request(handler.command, handler.path, body, dict(handler.headers))
            reply = server.getresponse()
            data = reply.read()
        finally:
            server.close()
        with self.lock:
            self.moved["received"] += len(data)
        if fault is None:
            self._answer(handler, reply.status, dict(reply.getheaders()), data)
        elif fault.cut:
            self._answer(handler, reply.status, dict(reply.getheaders()), data, len(data) // 2)
        if fault is not None:
            handler.close_connection = True
            with suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _answer(
        handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], data: bytes, sent: int | None = None
    ) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                handler.send_header(name, value)
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), str(len(data)))
        handler.send_header("Content-Length", length if handler.command == "HEAD" else str(len(data)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data[:sent])


def make_bucket(endpoint: str, name: str = BUCKET) -> None:
    """Make a bucket by an unsigned request, as the test servers allow."""
    status = _ask(endpoint, "PUT", f"/{name}")
    assert status in (200, 409), status


def _ask(endpoint: str, method: str, path: str) -> int:
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=30)
    connection.request(method, path)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status


@contextmanager
def moto() -> Iterator[int]:
    """Moto's S3 in threads of this process; gives its port."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


@contextmanager
def empty_s3(port: int) -> Iterator[tuple[Proxy, str]]:
    """Moto at a port, emptied but for a bucket, behind a proxy; gives the proxy and its endpoint."""
    _ask(f"http://127.0.0.1:{port}", "POST", "/moto-api/reset")
    make_bucket(f"http://127.0.0.1:{port}")
    proxy = Proxy(port)
    with proxy.serving() as endpoint:
        yield proxy, endpoint


def free_port() -> int:
    """A TCP port that is free now, and the one 10,000 above it, which SeaweedFS takes for gRPC."""
    while True:
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port < 50_000:
                other.bind(("127.0.0.1", port + 10_000))
                return int(port)


@contextmanager
def seaweedfs(folder: Path, started: Callable[[str], None] = lambda endpoint: None) -> Iterator[str]:
    """SeaweedFS's S3 in a process of its own: its conditional writes are atomic, moto's are not."""
    program = Path(sys.executable).with_name("weed")
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    options = [f"-{name}.port={port}" for name, port in ports.items()]
    command = [str(program), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer"]
    server = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(folder)},  # with AWS_ACCESS_KEY_ID it would ask for that
    )
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    try:
        for _ in range(300):
            try:
                make_bucket(endpoint)
                break
            except (OSError, http.client.HTTPException, AssertionError):
                time.sleep(0.1)
        yield endpoint
    finally:
        server.kill()  # it takes half a minute to end by itself
        server.wait(timeout=30)
