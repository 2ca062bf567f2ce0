"""One server process: ready, no torch, ends as told, and frees what clients leave."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import QUESTION, TEXTS, Process, server, until
from tmkd.errors import TmkdError
from tmkd.serve.worker import address, listen, raise_file_limit

BODY = json.dumps({"query": QUESTION, "texts": TEXTS})
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def process(made: tuple[Path, Path], index_folder: Path) -> Iterator[Process]:
    """A server of bundle and index."""
    with server(made[1], "--index", index_folder) as one:
        yield one


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, JSON if body else {})
    reply = connection.getresponse()
    content = json.loads(reply.read())
    connection.close()
    return reply.status, content


def test_it_tells_where_it_listens_and_serves(process: Process) -> None:
    assert process.lines[-1].startswith(f"ready: http://127.0.0.1:{process.port}  (")
    assert ask(process.port, "POST", "/rerank", BODY)[0] == 200
    assert ask(process.port, "GET", "/health/ready") == (200, {"status": "ready"})


def test_neither_torch_nor_transformers_nor_pandas_is_loaded(process: Process) -> None:
    ask(process.port, "GET", "/answer?q=moon")
    maps = Path(f"/proc/{process.popen.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    text = maps.read_text()
    assert "httptools" in text
    assert "uvloop" in text
    assert not [name for name in ("/torch/", "/pandas/") if name in text]


def test_modules_of_the_server_load_no_torch() -> None:
    code = (
        "import sys, tmkd.serve.worker, tmkd.serve.workers\n"
        "print(sorted({'torch', 'transformers', 'pandas'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_questions_are_not_logged(made: tuple[Path, Path], index_folder: Path) -> None:
    with server(made[1], "--index", index_folder) as one:
        ask(one.port, "GET", "/answer?q=secret+moon")
        one.popen.terminate()
        assert one.popen.stderr is not None
        said = one.popen.stderr.read()
    assert "secret" not in said
    assert "Traceback" not in said


def test_it_ends_at_once_when_idle(made: tuple[Path, Path]) -> None:
    with server(made[1]) as one:
        kept = socket.create_connection(("127.0.0.1", one.port))
        started = time.monotonic()
        one.popen.send_signal(signal.SIGTERM)
        assert one.popen.wait(10) == 0
        kept.close()
    assert time.monotonic() - started < 3


def test_a_request_under_way_is_answered_before_the_end(made: tuple[Path, Path]) -> None:
    with server(made[1]) as one:
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=30)
        many = json.dumps({"query": QUESTION, "texts": TEXTS * 150})
        connection.request("POST", "/rerank", many, JSON)
        time.sleep(0.02)
        one.popen.send_signal(signal.SIGTERM)
        reply = connection.getresponse()
        assert reply.status == 200
        assert len(json.loads(reply.read())) == 150 * len(TEXTS)
        connection.close()


def test_clients_that_go_away_free_their_places(process: Process) -> None:
    many = json.dumps({"query": QUESTION, "texts": [text * 4 for text in TEXTS] * 150}).encode()
    lines = "POST /rerank HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(many)}"
    head = "\r\n".join([*lines, "", ""])
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", process.port)) as one:
            one.sendall(head.encode() + many)

    def waiting() -> float:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return float(next(line for line in text.splitlines() if line.startswith("tmkd_waiting_tokens ")).split()[1])

    until(lambda: waiting() == 0)


def test_a_taken_address_is_told() -> None:
    one = listen("127.0.0.1", 0)
    one.listen()
    port = one.getsockname()[1]
    assert address(one) == f"http://127.0.0.1:{port}"
    with pytest.raises(TmkdError, match="cannot listen there"):
        listen("127.0.0.1", port)
    one.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_the_soft_limit_of_open_files_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
    raise_file_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == min(hard, 1 << 20)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_server_process_is_small(process: Process) -> None:
    status = Path(f"/proc/{process.popen.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    anonymous = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
    assert int(anonymous.split()[1]) < 180 << 10
    assert os.getpid() != process.popen.pid
