"""Body of a request, read up to its limit; and work that ends when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from tmkd.serve.gate import too_large
from tmkd.serve.limits import Limits
from tmkd.serve.refusal import Refusal

Result = TypeVar("Result")


class Bodies:
    """Bodies of all requests under way: each is read up to its limit, and all together up to theirs."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0  # bytes

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read a body, which counts until the request is done.

        Raises: Refusal when it, or all together, are larger than the limit; ClientDisconnect when the client goes away.
        """
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part = message.get("body", b"")
                size, self.held = size + len(part), self.held + len(part)
                if size > self._limits.body_bytes:
                    raise too_large(self._limits)
                if self.held > self._limits.all_bodies_bytes:
                    headers = {"Retry-After": "1", "retry-after-ms": "1000"}
                    raise Refusal(429, "Overloaded", "too many large requests are under way", headers)
                parts.append(part)
                if not message.get("more_body", False):
                    break
            yield parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            self.held -= size


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
