"""Body of a request, read up to its limit; and work that ends when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from tmkd.serve.gate import too_large
from tmkd.serve.limits import Limits

Result = TypeVar("Result")


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read a body.  Raises: Refusal when it is larger than the limit; ClientDisconnect when the client goes away."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limits.body_bytes:
            raise too_large(limits)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Result of some work, which is cancelled when the client goes away.  Raises: ClientDisconnect then."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
