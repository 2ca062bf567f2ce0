"""Load generator, a process of its own: requests at given times, or as fast as replies come, over kept connections.

    python benchmarks/load.py < load.json

The input names the port, the requests (method, path, body), the number of connections, and either `times` or `seconds`.
Times are seconds from the start (open loop): a request is sent when its time has come, whatever became of those before
it, and its latency counts from that time. Seconds are those of a closed loop: each connection sends its next request
when its reply is there. The output has each request's number, status, latency in ms, ms told to wait, body, and whether
it came again; and the generator's CPU seconds.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import httptools
import uvloop


@dataclass
class Load:
    """What to send: see the module."""

    port: int
    requests: list[dict[str, Any]]
    connections: int = 32
    times: list[float] = field(default_factory=list)
    seconds: float = 0.0
    keep_bodies: bool = False
    come_again: bool = False  # once, after the time told and up to 20 % more


@dataclass
class Sent:
    """A request and its reply."""

    number: int
    status: int
    milliseconds: float
    retry_ms: float | None
    body: str | None
    again: bool = False


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.reply: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request under way."""
        self.transport = None
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(ConnectionError("closed"))

    def send(self, data: bytes) -> asyncio.Future[None]:
        """Send a request; the future ends with its reply."""
        self.parser = httptools.HttpResponseParser(self)
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.reply = asyncio.get_running_loop().create_future()
        assert self.transport is not None
        self.transport.write(data)
        return self.reply

    def data_received(self, data: bytes) -> None:
        """Parse; what comes without a request is the server's farewell."""
        if self.reply is not None and not self.reply.done():
            self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """End the request."""
        self.status = self.parser.get_status_code()
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(None)


def raw(request: dict[str, Any]) -> bytes:
    """Bytes of a request."""
    body = json.dumps(request["body"]).encode() if "body" in request else b""
    head = f"{request.get('method', 'GET')} {request['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def run(load: Load) -> dict[str, Any]:
    """Send all and wait for the replies."""
    loop = asyncio.get_running_loop()
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    data = [raw(one) for one in load.requests]
    sent: list[Sent] = []
    chance = random.Random(1)

    async def connect() -> Connection:
        return (await loop.create_connection(Connection, "127.0.0.1", load.port))[1]

    for _ in range(load.connections):
        free.put_nowait(Connection())  # connected when first used: a server closes what stays silent

    async def one(number: int, due: float, again: bool = False) -> None:
        connection = await free.get()
        try:
            if connection.transport is None:
                connection = await connect()
            await connection.send(data[number % len(data)])
            took = 1000 * (time.perf_counter() - due)
            told = connection.headers.get(b"retry-after-ms")
            body = connection.body.decode() if load.keep_bodies else None
            result = Sent(number, connection.status, took, None if told is None else float(told), body, again)
        except ConnectionError:
            result = Sent(number, 0, 1000 * (time.perf_counter() - due), None, None, again)
        finally:
            free.put_nowait(connection)
        if load.come_again and not again and result.retry_ms is not None:
            await asyncio.sleep(result.retry_ms / 1000 * (1 + 0.2 * chance.random()))
            await one(number, time.perf_counter(), again=True)
        else:
            sent.append(result)

    began = time.perf_counter()
    if load.times:
        tasks = []
        for number, when in enumerate(load.times):
            wait = began + when - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.ensure_future(one(number, began + when)))
        await asyncio.gather(*tasks)
    else:
        ends, numbers = began + load.seconds, iter(range(1 << 60))

        async def again() -> None:
            while time.perf_counter() < ends:
                await one(next(numbers), time.perf_counter())

        await asyncio.gather(*(again() for _ in range(load.connections)))
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "sent": [list(asdict(each).values()) for each in sent],
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(Load(**json.load(sys.stdin))))))
