"""HTTP/1.1 connections: uvicorn's, with a deadline for headers and body and a limit on the size of headers."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tmkd.serve.limits import Limits


class BoundedProtocol(HttpToolsProtocol):
    """Connection that is closed when headers or body do not come in time, or headers are too large.

    uvicorn waits for both without end, and for a connection's first byte too. While a request is computed no deadline
    runs; between two requests uvicorn's own limit of idle connections does.
    """

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the deadline of the first request's headers."""
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        super().connection_made(transport)
        self._begin(self.limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline."""
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read bytes; those of headers are counted, in pieces as they come."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._begin(self.limits.header_seconds)  # also for bytes that begin no request, such as blank lines
        counted = self._header_bytes >= 0
        if counted:
            self._header_bytes += len(data)
        super().data_received(data)
        # Headers that came with their body in one piece are complete now, and are no longer counted.
        if counted and self._header_bytes > self.limits.header_bytes:
            self._refuse(431, "the headers are too large")

    def on_message_begin(self) -> None:
        """Begin a request's deadline and the count of its headers."""
        self._header_bytes = max(self._header_bytes, 0)
        super().on_message_begin()
        self._begin(self.limits.header_seconds)

    def on_headers_complete(self) -> None:
        """Begin the deadline of the body."""
        self._header_bytes = -1
        super().on_headers_complete()
        self._begin(self.limits.body_seconds)

    def on_message_complete(self) -> None:
        """End the deadline: the request is here."""
        self._end()
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also of a client that does not read its reply."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _begin(self, seconds: float) -> None:
        self._end()
        self._deadline = self.loop.call_later(seconds, self._refuse, 408, "the request did not come in time")

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int, text: str) -> None:
        """Reply, where no reply to this request has begun, and close: its task then sees that the client is gone."""
        if self.transport.is_closing():
            return
        in_headers = self._header_bytes >= 0
        if self.cycle is None or (self.cycle.response_complete if in_headers else not self.cycle.response_started):
            head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
                text
            )
            self.transport.write(STATUS_LINE[status] + head + text.encode())
        self.transport.close()
