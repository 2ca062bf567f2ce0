"""Gate before the application: host, token, content type and size of each request; its duration as a metric."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tmkd.serve.limits import Limits
from tmkd.serve.metrics import Metrics
from tmkd.serve.refusal import OBJECT_PATHS, Refusal

OPEN_PATHS = ("/", "/page.css", "/page.js", "/icon.svg", "/health", "/health/live", "/health/ready")
POST_PATHS = (*OBJECT_PATHS, "/rerank", "/predict")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_OTHER = "other"  # the route of all paths that there are not: else anybody could make new metrics


def is_loopback(host: str) -> bool:
    """Whether an address to bind is one of the loopback interface."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def known_hosts(bound: str, names: Sequence[str]) -> frozenset[str] | None:
    """Names that a Host header may have, None for any: those given, and on loopback the loopback names.

    A page of another site that resolves its own name to this machine (DNS rebinding) is refused by its Host.
    """
    if is_loopback(bound):
        return frozenset((*_LOOPBACK_NAMES, bound.lower(), *(name.lower() for name in names)))
    return frozenset((bound.lower(), *(name.lower() for name in names))) if names else None


class Gate:
    """ASGI middleware: refuses what the application need not see, and measures every request."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        limits: Limits,
        hosts: frozenset[str] | None,
        token: str | None,
        routes: Iterable[str],
    ) -> None:
        self._app, self._metrics, self._limits, self._hosts = app, metrics, limits, hosts
        self._token = None if token is None else token.encode()
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 499  # the client went away before there was a reply

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.active.inc()
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, seen)
            else:
                await self._refuse(refusal, scope["path"], seen)
        finally:
            self._metrics.active.dec()
            route = scope["path"] if scope["path"] in self._routes else _OTHER
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "OPTIONS") else "_OTHER"
            self._metrics.duration(method, route, str(status)).observe(time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> Refusal | None:
        """What speaks against a request's headers."""
        headers = dict(scope["headers"])
        if self._hosts is not None and _host(headers.get(b"host", b"")) not in self._hosts:
            return Refusal(421, "Host", "this server is not known by that Host; see --host-name")
        path = scope["path"]
        if self._token is not None and path not in OPEN_PATHS and scope["method"] != "OPTIONS":
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            # Compared always, and in a time that does not depend on where they differ.
            if not hmac.compare_digest(given.strip(), self._token) or kind.lower() != b"bearer":
                bearer = {"WWW-Authenticate": "Bearer"}
                return Refusal(401, "Unauthorized", "this server needs its token: Authorization: Bearer TOKEN", bearer)
        if scope["method"] == "POST" and path in POST_PATHS:
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                return Refusal(415, "Validation", "the content type of a request must be application/json")
            length = headers.get(b"content-length", b"0")
            if length.isdigit() and int(length) > self._limits.body_bytes:
                return too_large(self._limits)
        return None

    async def _refuse(self, refusal: Refusal, path: str, send: Send) -> None:
        body = json.dumps(refusal.content(path)).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


def for_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Let pages of these origins read the replies (CORS), refusals too; without any, the application as it is."""
    if not origins:
        return app
    headers = ("authorization", "content-type")
    return CORSMiddleware(app, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=headers)


def too_large(limits: Limits) -> Refusal:
    """Refusal of a body of too many bytes."""
    return Refusal(413, "Validation", f"the body is larger than the limit of {limits.body_bytes} bytes")


def _host(header: bytes) -> str:
    """Name in a Host header, without its port and the brackets of IPv6, in lower case."""
    text = header.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]
