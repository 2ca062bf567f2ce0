"""One server process: opens what it serves, warms up, and answers until it is told to end."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

import uvicorn
import uvloop

from tmkd.errors import TmkdError
from tmkd.serve.app import Readiness, make_app, routes
from tmkd.serve.gate import Gate, for_origins, known_hosts
from tmkd.serve.limits import Limits
from tmkd.serve.metrics import Metrics
from tmkd.serve.protocol import BoundedProtocol
from tmkd.serve.served import Places, Served

BACKLOG = 2048
_COUNT_SECONDS = 0.5
_SWITCH_SECONDS = 0.0005  # for which a thread may hold the interpreter while another waits; Python's own are 5 ms


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a server: where it listens, the names it is known by, its token, seconds to drain, its limits.

    `origins` are those of other sites' pages that may read its replies.
    """

    places: Places
    host: str = "127.0.0.1"
    port: int = 8080
    host_names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    grace_seconds: float = 10.0
    limits: Limits = field(default_factory=Limits)


class Worker(uvicorn.Server):
    """uvicorn's server, which is not ready from the signal to end on."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness) -> None:
        super().__init__(config)
        self.readiness = readiness

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain; a second SIGINT ends at once. The signal is not raised again afterwards: the end is a good one."""
        self.readiness.ready = False
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def listen(host: str, port: int, shared: bool = False) -> socket.socket:
    """Socket bound to an address; `shared` by several processes, each with a socket of its own (SO_REUSEPORT).

    Raises: TmkdError when the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        one.bind((host, port))
    except (OSError, OverflowError) as error:
        one.close()
        raise TmkdError(f"{host}:{port}: cannot listen there: {error}") from None
    one.set_inheritable(True)
    return one


def address(one: socket.socket) -> str:
    """URL of a bound socket."""
    host, port = one.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    settings: ServerSettings,
    bound: socket.socket,
    threads: int | None = None,
    started: Callable[[str], object] = lambda line: None,
    parent: int | None = None,
) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, or the end of the parent (read end of its pipe).

    `started` is called with a line on the speed once requests are taken. Raises: TmkdError when a folder is damaged.
    """
    raise_file_limit()
    sys.setswitchinterval(_SWITCH_SECONDS)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would take the scorer's cores
    served, metrics, readiness = Served(settings.places, settings.limits, threads), Metrics(), Readiness()
    speed = served.warm_up()
    app = make_app(served, metrics, readiness)
    hosts = known_hosts(settings.host, settings.host_names)
    gate = Gate(app, metrics, settings.limits, hosts, settings.token, routes())
    config = uvicorn.Config(
        for_origins(gate, settings.origins),
        http=type("Protocol", (BoundedProtocol,), {"limits": settings.limits}),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.limits.idle_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=settings.grace_seconds,  # type: ignore[arg-type]
    )
    worker = Worker(config, readiness)

    def orphaned(loop: asyncio.AbstractEventLoop, pipe: int) -> None:
        loop.remove_reader(pipe)
        worker.handle_exit(signal.SIGTERM, None)

    async def count() -> None:
        while True:  # another process may be asked for the metrics of all
            metrics.collect(served.scorer, served.answerer)
            await asyncio.sleep(_COUNT_SECONDS)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        if parent is not None:
            loop.add_reader(parent, orphaned, loop, parent)
        serving = asyncio.ensure_future(worker.serve([bound]))
        while not worker.started and not serving.done():
            await asyncio.sleep(0.001)
        keep_small()
        counting = asyncio.ensure_future(count())
        readiness.ready = True
        started(speed)
        await serving
        counting.cancel()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    finally:
        served.close()


def keep_small() -> None:
    """Collect garbage once and freeze what is left, so that no later collection walks through it; trim the heap."""
    gc.collect()
    gc.freeze()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one: each connection is a file."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 16
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, 1 << 20), hard))
    except (OSError, ValueError) as error:
        logging.getLogger("tmkd.serve").warning("the limit of open files stays as it is: %s", error)
