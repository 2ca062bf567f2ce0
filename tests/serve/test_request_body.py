"""Bodies: pieces put together, a limit, a client that goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from tmkd.serve.limits import Limits
from tmkd.serve.refusal import Refusal
from tmkd.serve.request_body import read_body, while_connected

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


def test_pieces_are_put_together() -> None:
    assert asyncio.run(read_body(request(part(b"a", True), part(b"", True), part(b"b")), Limits())) == b"ab"


def test_a_body_is_read_up_to_its_limit() -> None:
    with pytest.raises(Refusal, match="limit of 3 bytes"):
        asyncio.run(read_body(request(part(b"ab", True), part(b"cd", True)), Limits(body_bytes=3)))


def test_a_client_may_go_away_within_its_body() -> None:
    with pytest.raises(ClientDisconnect):
        asyncio.run(read_body(request(part(b"a", True), GONE), Limits()))


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
