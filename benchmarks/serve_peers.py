"""The server beside other rerank servers: the same requests, requests/s at an equal p99; and FlashRank's pairs/s.

    python benchmarks/serve_peers.py --bundle runs/demo/bundle --compat runs/demo/compat --index runs/demo/index/web \
        --questions runs/demo/questions/web --cross-encoder VENV --infinity VENV --flashrank VENV

The venvs hold, each by itself: fastapi, uvicorn and sentence-transformers; infinity-emb[torch,server]==0.0.78 with
sentence-transformers<4, numpy<2, typer<0.13, click<8.2, uvicorn<0.33, transformers<5; flashrank==0.2.10. `compat` is
the one-logit export (export: {compat: true}).
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pyarrow.parquet as pq

from tmkd.bundle import Ranker
from tmkd.machine import machine_line
from tmkd.search.candidates import candidates
from tmkd.search.index import TantivyIndex

SHARES = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
Requests = Sequence[dict[str, Any]]


@contextmanager
def started(command: Sequence[object], port: int, ready: dict[str, Any]) -> Iterator[int]:
    """Run a server until it answers a request; ended at the end."""
    with subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as popen:
        try:
            for _ in range(600):
                try:
                    asked(port, ready)
                    break
                except (URLError, ConnectionError):
                    time.sleep(0.2)
                    if popen.poll() is not None:
                        raise SystemExit(f"{command[0]} ended at its start") from None
            yield port
        finally:
            popen.terminate()


def asked(port: int, request: dict[str, Any]) -> Any:
    """One request's reply."""
    body = json.dumps(request["body"]).encode()
    url = f"http://127.0.0.1:{port}{request['path']}"
    with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=60) as reply:
        return json.load(reply)


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def load(port: int, requests: Requests, **how: Any) -> tuple[float, float]:
    """Requests/s and p99 in ms of a load, all of whose replies must be good; p99 is infinite otherwise."""
    script = Path(__file__).with_name("load.py")
    given = json.dumps({"port": port, "requests": list(requests), **how})
    done = subprocess.run([sys.executable, str(script)], input=given, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    good = [one[2] for one in found["sent"] if one[1] == 200]
    p99 = float(np.percentile(good, 99)) if len(good) == len(found["sent"]) else float("inf")
    return len(good) / found["seconds"], p99


def rate_at(port: int, requests: Requests, p99: float, seconds: float) -> tuple[float, float]:
    """The highest of some rates (requests/s, Poisson) whose p99 is within a bound in ms, and that p99."""
    load(port, requests, connections=8, seconds=3)
    most, _ = load(port, requests, connections=8, seconds=seconds)
    for share in SHARES:
        gaps = np.random.default_rng(1).exponential(1 / (share * most), int(share * most * seconds) + 10)
        times = [float(one) for one in np.cumsum(gaps)]
        _, found = load(port, requests, connections=64, times=times)
        if found <= p99:
            return share * most, found
    return 0.0, float("inf")


def main() -> None:
    """Read the options, run each server alone, and print the ratios."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("bundle", "compat", "index", "questions"):
        options.add_argument(f"--{name}", type=Path, required=True)
    for name in ("cross-encoder", "infinity", "flashrank"):
        options.add_argument(f"--{name}", type=Path, help="its virtual environment")
    options.add_argument("--p99", type=float, default=200.0, help="ms that all keep")
    options.add_argument("--seconds", type=float, default=10.0, help="of each load")
    given = options.parse_args()
    ranker, index = Ranker(given.bundle), TantivyIndex(given.index)
    print(f"{machine_line()}; {ranker.precision} by {ranker.engine} of width {ranker.width}")
    found = ten_passages(index, given.questions)
    tei = [{"method": "POST", "path": "/rerank", "body": {"query": one, "texts": texts}} for one, texts in found]
    documents = [
        {"method": "POST", "path": "/rerank", "body": {"query": one, "documents": texts, "model": str(given.compat)}}
        for one, texts in found
    ]
    folder, ports = Path(__file__).parent, [free_port() for _ in range(3)]
    infinity = ["--engine", "torch", "--device", "cpu", "--no-bettertransformer", "--no-compile", "--no-model-warmup"]
    servers: dict[str, tuple[Sequence[object], Requests, float]] = {
        "tmkd": ([sys.executable, "-m", "tmkd", "serve", given.bundle, "--port", ports[0]], tei, 1)
    }
    if given.cross_encoder:
        python = given.cross_encoder / "bin" / "python"
        servers["FastAPI + CrossEncoder"] = ([python, folder / "peer_cross_encoder.py", given.compat, ports[1]], tei, 5)
    if given.infinity:
        program = given.infinity / "bin" / "infinity_emb"
        infinity_command = [program, "v2", "--model-id", given.compat, *infinity, "--port", ports[2]]
        servers["infinity-emb"] = (infinity_command, documents, 3)
    rates: dict[str, float] = {}
    for (name, (command, requests, wanted)), port in zip(servers.items(), ports, strict=False):
        with started(command, int(str(command[-1])), requests[0]) as port:
            rates[name], p99 = rate_at(port, requests, given.p99, given.seconds)
        times = rates["tmkd"] / rates[name] if rates[name] else float("inf")
        print(f"  {name}: {rates[name]:,.0f} requests/s at a p99 of {p99:.0f} ms")
        print(f"    tmkd is {times:.1f} × (wanted {wanted} ×)")
    if given.flashrank:
        flashrank(given.flashrank / "bin" / "python", folder, given.bundle, ranker, found)


def ten_passages(index: TantivyIndex, questions: Path) -> list[tuple[str, list[str]]]:
    """Questions with ten passages each: their candidates, filled up with others."""
    table = pq.read_table(next(questions.glob("*.parquet")), columns=["question"])
    passages, made = [*index.texts.passages()], []
    for number, question in enumerate(table["question"].to_pylist()[:100]):
        found = [one.passage for one in candidates(index, question, 10)]
        more = [passages[(number * 10 + place) % len(passages)] for place in range(10 - len(found))]
        made.append((question, found + more))
    return made


def flashrank(
    python: Path, folder: Path, bundle: Path, ranker: Ranker, requests: Sequence[tuple[str, list[str]]]
) -> None:
    """FlashRank's pairs/s with our graph beside ours, and the largest difference of a score."""
    given = json.dumps(requests)
    command = [str(python), str(folder / "peer_flashrank.py"), str(bundle)]
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True)
    theirs = json.loads(done.stdout)
    pairs = [[(question, text) for text in texts] for question, texts in requests]
    exact = Ranker(bundle, "fp32")
    whole = [exact.tokenizer.fits(*map(list, zip(*some, strict=True))) for some in pairs]
    differences = [
        float(np.abs(exact.predict(some) - np.array(scores))[fits].max(initial=0))
        for some, scores, fits in zip(pairs, theirs["scores"], whole, strict=True)
    ]
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < 8:
        for some in pairs:
            ranker.predict(some)
            count += len(some)
    ours = count / (time.perf_counter() - began)
    speed = theirs["pairs_per_second"]
    print(f"  FlashRank: {speed:,.0f} pairs/s, tmkd {ours:,.0f}: {ours / speed:.1f} × (wanted 1.5 ×)")
    print(f"  largest difference of a score, fp32, pairs that are not cut: {max(differences):.2g} (wanted 1e-4)")


if __name__ == "__main__":
    main()
