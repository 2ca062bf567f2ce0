"""Several server processes on one port: all serve, a killed one returns, metrics are summed."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tiny
from serving import QUESTION, TEXTS, server, until
from tmkd.errors import UsageError
from tmkd.serve.served import Places
from tmkd.serve.worker import ServerSettings
from tmkd.serve.workers import run_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes share a port on Linux alone")
BODY = json.dumps({"query": QUESTION, "texts": TEXTS})


def rerank(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/rerank", BODY, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status


RERANKED = r'request_duration_seconds_count\{[^}]*"POST"[^}]*"/rerank"\} ([\d.]+)'
COMPUTED = r"tmkd_computed_tokens_total ([\d.]+)"


def counted(port: int, metric: str = RERANKED) -> float:
    """A metric of all processes, as one of them tells."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    line = re.search(metric, text)
    return float(line[1]) if line else 0.0


@pytest.mark.slow
def test_all_serve_metrics_are_summed_and_a_killed_one_returns(made: tuple[Path, Path]) -> None:
    with server(made[1], "--workers", 2) as process:
        assert "2 workers" in process.lines[-1]
        assert [rerank(process.port) for _ in range(40)] == [200] * 40
        assert {counted(process.port) for _ in range(6)} == {40.0}
        until(lambda: len({counted(process.port, COMPUTED) for _ in range(6)}) == 1)
        before = process.children
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len({*process.children} - {*before}) == 1 and before[0] not in process.children)
        until(lambda: rerank(process.port) == 200)
        assert counted(process.port) >= 40  # what the dead one counted is not lost
        left = process.children
    assert process.popen.returncode == 0
    for pid in left:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_workers_end_with_a_supervisor_that_was_killed(made: tuple[Path, Path]) -> None:
    with server(made[1], "--workers", 2) as process:
        left = process.children
        process.popen.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))


@pytest.mark.slow
def test_a_folder_that_is_no_bundle_ends_the_start(tmp_path: Path) -> None:
    done = subprocess.run(
        tiny.command("serve", tmp_path, "--workers", 2, "--port", 0),
        env=tiny.environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "not a bundle" in done.stderr
    assert "Traceback" not in done.stderr


def test_elsewhere_than_on_linux_several_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmkd.serve.workers.sys.platform", "darwin")
    with pytest.raises(UsageError, match="needs Linux"):
        run_server(ServerSettings(Places(Path("bundle")), port=0), 2, print)
