"""Bodies: pieces put together, a limit, a client that goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from tmkd.serve.limits import Limits
from tmkd.serve.refusal import Refusal
from tmkd.serve.request_body import Bodies, while_connected

GONE = {"type": "http.disconnect"}


def request(*messages: dict[str, Any]) -> Request:
    """A request of these messages; then the client stays."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def read(limits: Limits, *messages: dict[str, Any]) -> tuple[bytes, int]:
    """The body of a request, and the bytes held while it is there."""

    async def body() -> tuple[bytes, int]:
        bodies = Bodies(limits)
        try:
            async with bodies.read(request(*messages)) as one:
                return one, bodies.held
        finally:
            assert bodies.held == 0

    return asyncio.run(body())


def test_pieces_are_put_together() -> None:
    assert read(Limits(), part(b"a", True), part(b"", True), part(b"b")) == (b"ab", 2)


def test_a_body_is_read_up_to_its_limit() -> None:
    with pytest.raises(Refusal, match="limit of 3 bytes"):
        read(Limits(body_bytes=3), part(b"ab", True), part(b"cd", True))


def test_all_bodies_together_have_a_limit() -> None:
    async def two() -> None:
        bodies = Bodies(Limits(all_bodies_bytes=5))
        async with bodies.read(request(part(b"abc"))):
            async with bodies.read(request(part(b"de"))):
                pass
            with pytest.raises(Refusal) as caught:
                await bodies.read(request(part(b"def"))).__aenter__()
            assert (caught.value.status, bodies.held) == (429, 3)

    asyncio.run(two())


def test_a_client_may_go_away_within_its_body() -> None:
    with pytest.raises(ClientDisconnect):
        read(Limits(), part(b"a", True), GONE)


def test_work_ends_when_its_client_goes_away() -> None:
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def scene() -> None:
        with pytest.raises(ClientDisconnect):
            await while_connected(request(GONE), work())
        await asyncio.sleep(0)

    asyncio.run(scene())
    assert ended == [True]


def test_work_that_fails_raises_what_it_raised() -> None:
    async def work() -> None:
        raise Refusal(413, "Validation", "too much")

    with pytest.raises(Refusal):
        asyncio.run(while_connected(request(), work()))
