"""Connections of slow, silent and rude clients, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from serving import until
from tmkd.serve.limits import Limits
from tmkd.serve.protocol import BoundedProtocol

LIMITS = Limits(header_bytes=2000, header_seconds=0.3, body_seconds=0.3, idle_seconds=1)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, wait where the path says so, and reply."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message["more_body"]:
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(0.8)
    body = b"x" * (8 << 20) if scope["path"] == "/large" else b"ok"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[uvicorn.Server, int]]:
    """A server with short limits, in a thread, and its port."""
    kind = type("Short", (BoundedProtocol,), {"limits": LIMITS})
    config = uvicorn.Config(
        application, http=kind, ws="none", lifespan="off", log_config=None, timeout_keep_alive=1, loop="uvloop"
    )
    server = uvicorn.Server(config)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server, bound.getsockname()[1]
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def port(running: tuple[uvicorn.Server, int]) -> int:
    """Port of the server."""
    return running[1]


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        yield one


def rest(one: socket.socket) -> tuple[bytes, float]:
    """All that comes until the server closes, and the seconds it takes."""
    started, data = time.monotonic(), b""
    try:
        while part := one.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return data, time.monotonic() - started


def reply(one: socket.socket) -> bytes:
    """One reply of the application."""
    data = b""
    while not data.endswith(b"ok"):
        part = one.recv(1 << 16)
        assert part, data
        data += part
    return data


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n", POST, POST + b"12345"],
    ids=["nothing", "half a line", "half the headers", "a blank line", "no body", "half a body"],
)
def test_what_does_not_come_in_time_is_cut(port: int, sent: bytes) -> None:
    with connection(port) as one:
        one.sendall(sent)
        data, seconds = rest(one)
    assert data.startswith(b"HTTP/1.1 408 ")
    assert seconds < 1.5


def test_bytes_one_by_one_do_not_hold_a_connection(port: int) -> None:
    with connection(port) as one:
        started = time.monotonic()
        try:
            for byte in GET * 10:
                one.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - started < 1.5


def test_large_headers_are_refused(port: int) -> None:
    with connection(port) as one:
        one.sendall(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000)
        data, _ = rest(one)
    assert data.startswith(b"HTTP/1.1 431 ")


def test_a_large_body_is_no_large_header(port: int) -> None:
    with connection(port) as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        assert reply(one).startswith(b"HTTP/1.1 200 ")
        one.sendall(GET)  # and the next headers are counted from 0
        assert reply(one).startswith(b"HTTP/1.1 200 ")


def test_no_deadline_runs_while_a_request_is_computed(port: int) -> None:
    with connection(port) as one:
        one.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert reply(one).startswith(b"HTTP/1.1 200 ")


def test_a_connection_is_used_again_within_its_idle_time(port: int) -> None:
    with connection(port) as one:
        for _ in range(3):
            one.sendall(GET)
            assert reply(one).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.4)
        data, seconds = rest(one)
    assert data == b""
    assert seconds < 2


def test_a_half_request_after_a_reply_is_cut(port: int) -> None:
    with connection(port) as one:
        one.sendall(GET)
        reply(one)
        one.sendall(GET[:20])
        data, seconds = rest(one)
    assert data.startswith(b"HTTP/1.1 408 ")
    assert seconds < 1.5


def test_a_half_closed_socket_is_closed(port: int) -> None:
    with connection(port) as one:
        one.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        one.shutdown(socket.SHUT_WR)
        _, seconds = rest(one)
    assert seconds < 1.5


def test_a_client_that_does_not_read_its_reply_is_cut(running: tuple[uvicorn.Server, int]) -> None:
    server, port = running
    with connection(port) as one:
        one.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.5)
        assert server.server_state.connections
        until(lambda: not server.server_state.connections, seconds=3)
