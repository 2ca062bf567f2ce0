"""The server under load, beside the same work in process: latency, saturation, overload, idle connections, start.

    python benchmarks/serve.py --bundle runs/demo/bundle --index runs/demo/index/web --lookup runs/demo/lookup \
        --questions runs/demo/questions/web [--only start,head,tail,deadline,saturation,idle,overload,burst]

The load comes from a process of its own (benchmarks/load.py), whose CPU seconds are told beside. Each target is printed
as reached or not; nothing is asserted, since the numbers depend on the machine. Peers: benchmarks/serve_peers.py.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from urllib.request import urlopen

import numpy as np
import pyarrow.parquet as pq

from tmkd.bundle import Ranker
from tmkd.machine import machine_line
from tmkd.search.candidates import candidates
from tmkd.search.index import TantivyIndex

PARTS = ("start", "head", "tail", "deadline", "saturation", "idle", "overload", "burst")
TICKS = 100  # of /proc/PID/stat a second


@dataclass(frozen=True)
class Server:
    """A server process under test."""

    popen: subprocess.Popen[str]
    port: int
    seconds_to_ready: float
    line: str

    @property
    def pids(self) -> list[int]:
        """The processes that serve: its children where there are several workers."""
        found = subprocess.run(["pgrep", "-P", str(self.popen.pid), "-f", "spawn_main"], capture_output=True, text=True)
        return [int(one) for one in found.stdout.split()] or [self.popen.pid]

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds used so far."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids]
        return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS

    def memory(self, kind: str = "RssAnon") -> float:
        """MiB of the largest process."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids]
        return max(int(re.findall(rf"{kind}:\s+(\d+)", text)[0]) for text in texts) / 1024

    def info(self) -> Any:
        """Its /info."""
        with urlopen(f"http://127.0.0.1:{self.port}/info") as reply:
            return json.load(reply)


@contextmanager
def serving(*words: object) -> Iterator[Server]:
    """Start `tmkd serve` with these arguments on a free port."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tmkd", "serve", *map(str, words), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as popen:
        assert popen.stderr is not None
        try:
            for line in popen.stderr:
                if line.startswith("ready: "):
                    port = int(line.split()[1].rpartition(":")[2])
                    threading.Thread(target=popen.stderr.read, daemon=True).start()
                    yield Server(popen, port, time.perf_counter() - began, line.strip())
                    break
            else:
                raise SystemExit("the server did not start")
        finally:
            popen.terminate()


@dataclass(frozen=True)
class Outcome:
    """What became of a load: replies by status, latencies in ms, CPU seconds of generator and server."""

    seconds: float
    generator_cpu: float
    server_cpu: float
    sent: list[list[Any]]

    def latencies(self, status: int = 200) -> np.ndarray:
        """Latencies of the replies of a status, in ms."""
        return np.array([one[2] for one in self.sent if one[1] == status] or [np.nan])

    def p(self, share: float, status: int = 200) -> float:
        """A percentile of these."""
        return float(np.percentile(self.latencies(status), share))

    def told(self, name: str) -> None:
        """Print it in a line."""
        counts = {
            status: sum(one[1] == status for one in self.sent) for status in sorted({one[1] for one in self.sent})
        }
        print(
            f"  {name}: {len(self.sent) / self.seconds:,.0f} requests/s, p50 {self.p(50):.2f}, p99 {self.p(99):.2f}, "
            f"longest {self.latencies().max():.2f} ms; statuses {counts}; CPU s: server {self.server_cpu:.1f}, "
            f"generator {self.generator_cpu:.1f} of {self.seconds:.1f}"
        )


def load(server: Server, requests: Sequence[dict[str, Any]], **how: Any) -> Outcome:
    """Put a load on a server from another process."""
    before = server.cpu_seconds
    given = json.dumps({"port": server.port, "requests": list(requests), **how})
    script = Path(__file__).with_name("load.py")
    done = subprocess.run([sys.executable, str(script)], input=given, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    return Outcome(found["seconds"], found["cpu_seconds"], server.cpu_seconds - before, found["sent"])


def poisson(rate: float, seconds: float, seed: int = 1) -> list[float]:
    """Times of a Poisson process."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds * 1.3) + 10)
    return [float(one) for one in np.cumsum(gaps) if one < seconds]


def even(rate: float, seconds: float) -> list[float]:
    """Evenly spaced times."""
    return [number / rate for number in range(int(rate * seconds))]


def target(what: str, reached: float, limit: float, unit: str, most: bool = True) -> None:
    """Print a target as reached or missed."""
    good = reached <= limit if most else reached >= limit
    bound = f"{'at most' if most else 'at least'} {limit:g}"
    print(f"  {'reached' if good else 'MISSED '}  {what}: {reached:.2f} {unit}, {bound}")


def asked(question: str, **more: object) -> dict[str, Any]:
    """Request of /answer."""
    return {"path": f"/answer?q={quote_plus(question)}" + "".join(f"&{name}={value}" for name, value in more.items())}


@contextmanager
def sampled(measure: Callable[[], float], seconds: float) -> Iterator[list[float]]:
    """Call a function every so many seconds; the list has what it gave."""
    values: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(seconds):
            values.append(measure())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield values
    finally:
        ended.set()
        thread.join()


class Bench:
    """Parts of the benchmark over one server."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        table = pq.read_table(next(given.questions.glob("*.parquet")), columns=["question", "part"])
        self.questions: list[str] = table["question"].to_pylist()
        # The questions that are looked up; all of them where the log is not split.
        parts = zip(self.questions, table["part"].to_pylist(), strict=True)
        self.heads = [question for question, part in parts if part == "head"] or self.questions
        self.index, self.ranker = TantivyIndex(given.index), Ranker(given.bundle)
        # Other words than any head question has; each asked once, so that the cache has none.
        words = random.Random(7)
        self.tails = [
            f"{one} {other.split()[0]}"
            for one, other in zip(self.questions, words.sample(self.questions, len(self.questions)), strict=True)
        ]
        passages = [*self.index.texts.passages()]
        self.ten: list[tuple[str, list[str]]] = []
        for number, question in enumerate(self.questions[:200]):  # candidates, filled up to ten
            found = [one.passage for one in candidates(self.index, question, 10)]
            more = [passages[(number * 10 + place) % len(passages)] for place in range(10 - len(found))]
            self.ten.append((question, found + more))

    @contextmanager
    def server(self, *words: object) -> Iterator[Server]:
        """The server under test."""
        given = self.given
        places = "--index", given.index, *(("--lookup", given.lookup) if given.lookup else ())
        with serving(given.bundle, *places, "--workers", given.workers, *words) as one:
            yield one

    def start(self) -> None:
        """Seconds to ready and memory."""
        print("start")
        with self.server() as server:
            print(f"  {server.line}")
            target("start to ready", server.seconds_to_ready, 2, "s")
            load(server, [self.rerank(one) for one in self.ten], connections=8, seconds=3)
            target("RssAnon of a worker, after a load", server.memory(), 180, "MiB")

    def head(self) -> None:
        """Head answers at 200/s."""
        print("head answers, 200/s, Poisson, 32 connections")
        with self.server() as server:
            requests = [asked(one) for one in self.heads]
            load(server, requests, times=even(200, 2))
            some = load(server, requests, times=poisson(200, self.given.seconds))
            some.told("head")
            routes = load(server, requests[:50], times=even(100, 0.5), keep_bodies=True).sent
            heads = sum(json.loads(one[4])["route"] == "head" for one in routes)
            print(f"  {heads} of {len(routes)} by the head route")
            target("p99", some.p(99), 3, "ms")

    def tail(self) -> None:
        """Tail answers at 20/s, beside the same calls in process."""
        print("tail answers, ten candidates, 20/s, evenly spaced, no deadline, beside the same calls in process")
        count = min(int(20 * self.given.seconds), len(self.tails) - 20)
        with self.server() as server:
            requests = [asked(one) for one in self.tails]
            load(server, requests[-20:], times=even(20, 1))
            inside = self.in_process(self.tails[:count])
            some = load(server, requests[:count], times=even(20, count / 20))
            some.told("tail")
            p50, p99 = (float(np.percentile(inside, share)) for share in (50, 99))
            print(f"  in process: p50 {p50:.2f}, p99 {p99:.2f} ms")
            target("p50 above in process", some.p(50) - p50, 1.5, "ms")
            target("p99 above in process", some.p(99) - p99, 4, "ms")
            target("p99 (with AMX)", some.p(99), 10, "ms")

    def in_process(self, questions: Sequence[str]) -> list[float]:
        """Milliseconds of search and ranking of each question, called 20 times a second."""
        took, began = [], time.perf_counter()
        for number, question in enumerate(questions):
            time.sleep(max(began + number / 20 - time.perf_counter(), 0))
            started = time.perf_counter()
            found = candidates(self.index, question, 10)
            self.ranker.predict_proba([(question, one.passage) for one in found])
            took.append(1000 * (time.perf_counter() - started))
        return took

    def deadline(self) -> None:
        """Tail answers with a deadline of 10 ms."""
        print("tail answers, 20/s, Poisson, deadline 10 ms")
        with self.server() as server:
            requests = [asked(one, deadline_ms=10) for one in self.tails]
            some = load(server, requests, times=poisson(20, self.given.seconds), keep_bodies=True)
            some.told("deadline")
            replies = [json.loads(one[4]) for one in some.sent if one[1] == 200]
            cut = [one for one in replies if one["ranked"] < one["candidates"]]
            mean = np.mean([one["ranked"] for one in replies])
            print(f"  {100 * len(cut) / len(replies):.0f} % have an unranked passage; mean ranked {mean:.1f}")

    def rerank(self, one: tuple[str, list[str]]) -> dict[str, Any]:
        """Request of /rerank."""
        return {"method": "POST", "path": "/rerank", "body": {"query": one[0], "texts": one[1]}}

    def capacity(self, server: Server, connections: int = 8) -> Outcome:
        """Requests of ten texts as fast as replies come."""
        requests = [self.rerank(one) for one in self.ten]
        load(server, requests, connections=connections, seconds=2)
        return load(server, requests, connections=connections, seconds=self.given.seconds)

    def saturation(self) -> None:
        """Pairs per CPU second at saturation, beside two threads in process."""
        print("saturation, /rerank with ten texts, beside two threads that call predict_proba")
        pairs = [[(question, text) for text in texts] for question, texts in self.ten]
        with self.server() as server:
            some = self.capacity(server)
        some.told("server")
        ends, counts = time.perf_counter() + self.given.seconds, [0, 0]

        def call(place: int) -> None:
            while time.perf_counter() < ends:
                self.ranker.predict_proba(pairs[(place + 2 * counts[place]) % len(pairs)])
                counts[place] += 1

        before, threads = time.process_time(), [threading.Thread(target=call, args=(place,)) for place in (0, 1)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        inside = 10 * sum(counts) / (time.process_time() - before)
        ours = 10 * len(some.sent) / some.server_cpu
        print(f"  pairs per CPU second: server {ours:,.0f}, in process {inside:,.0f}")
        target("share", ours / inside, 0.8, "×", most=False)

    def idle(self) -> None:
        """1,000 idle connections beside head answers."""
        print("1,000 idle connections")
        with self.server() as server:
            requests = [asked(one) for one in self.heads]
            load(server, requests, times=even(200, 2))
            alone = load(server, requests, times=poisson(200, self.given.seconds / 2))
            sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1000)]
            beside = load(server, requests, times=poisson(200, self.given.seconds / 2))
            alone.told("without")
            beside.told("with")
            target("p99 above", beside.p(99) - alone.p(99), 1, "ms")
            limits = server.info()["limits"]
            time.sleep(max(limits["header_seconds"] + 1 - self.given.seconds / 2, 0))
            closed = sum(one.recv(1000)[:12] == b"HTTP/1.1 408" for one in sockets)
            print(f"  closed after their limit: {closed}")
            for one in sockets:
                one.close()

    def overload(self) -> None:
        """Twice the capacity, nobody comes again."""
        print(f"open loop at twice the capacity for {self.given.soak:g} s, nobody comes again")
        with self.server() as server:
            measured = self.capacity(server)
            rate = len(measured.sent) / measured.seconds
            requests = [self.rerank(one) for one in self.ten]
            alone = load(server, requests, times=poisson(0.1 * rate, self.given.seconds))
            warm = load(server, requests, times=poisson(2 * rate, 10), connections=512)
            before = server.memory()
            with sampled(server.memory, self.given.soak / 10) as memory:
                some = load(server, requests, times=poisson(2 * rate, self.given.soak), connections=512)
            some.told("overload")
            print(f"  memory, MiB: {before:.1f}, " + ", ".join(f"{one:.1f}" for one in memory))
            warm.told("its first 10 s")
            info = server.info()
            bound = 1000 * info["max_batch_tokens"] / info["tokens_per_second"] + 1.5 * alone.p(99)
            target("accepted p99", some.p(99), bound, "ms")
            target("p99 of a 429", some.p(99, 429), 5, "ms")
            target("memory grown", 100 * (server.memory() / before - 1), 5, "%")

    def burst(self) -> None:
        """Three times what the queue holds, then 0.7 of the capacity; all come again as told."""
        print("a burst of three times the queue, then 0.7 of the capacity; refused clients come again as told")
        with self.server() as server:
            measured = self.capacity(server)
            rate = len(measured.sent) / measured.seconds
            held = 2.0 * rate  # the queue holds two seconds
            times = [0.0] * int(3 * held) + poisson(0.7 * rate, 40)
            outcome = self.come_again(server, sorted(times))
            again = [one for one in outcome.sent if one[5]]
            through = 100 * sum(one[1] == 200 for one in again) / max(len(again), 1)
            print(f"  {len(outcome.sent)} clients, {len(again)} refused at first")
            target("through at their second try", through, 95, "%", most=False)

    def come_again(self, server: Server, times: list[float]) -> Outcome:
        """A load whose refused clients come again once, after the time told and up to 20 % more."""
        requests = [self.rerank(one) for one in self.ten]
        return load(server, requests, times=times, connections=1024, come_again=True)


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("bundle", "index", "questions"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--lookup")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--seconds", type=float, default=10.0, help="of a part")
    options.add_argument("--soak", type=float, default=60.0, help="seconds of the overload; 600 for the whole soak")
    options.add_argument("--only", default=",".join(PARTS))
    given = options.parse_args()
    bench = Bench(given)
    ranker = bench.ranker
    print(f"{machine_line()}; {ranker.precision} by {ranker.engine} of width {ranker.width}; {given.workers} worker(s)")
    for name in given.only.split(","):
        getattr(bench, name)()


if __name__ == "__main__":
    main()
