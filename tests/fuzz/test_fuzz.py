"""Mutated inputs of every kind: read, or refused in a line; no signal, no traceback, in bounded time and memory."""

from __future__ import annotations

import json
import math
import os
import random
import select
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import tiny
from fuzz import mutations
from tiny import World
from tmkd.store import write_manifest

WORKER = Path(__file__).with_name("worker.py")
SECONDS = 10  # of processor time for one input
PATIENCE = 100  # seconds until a worker that does nothing is ended
MEGABYTES = 1024
INPUTS = int(os.environ.get("TMKD_FUZZ_INPUTS", "400"))  # of each kind
SEED = int(os.environ.get("TMKD_FUZZ_SEED", "1"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc"),
]


class Worker:
    """A process that reads inputs, watched from outside; started anew after one that it did not survive."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._errors = (folder / "stderr").open("w+")
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, WORKER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=tiny.environment(),
        )  # fmt: skip
        self._ask(["recipe", str(self._folder / "none.yaml")], 100)  # its imports are no part of an input's time

    def _ask(self, question: list[str], seconds: float) -> str | None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else ""
        return json.loads(line) if line else None

    def read(self, kind: str, path: Path) -> str:
        """The worker's answer, or "fault: …" where it took too long or too much, or died."""
        before, peak, ended = self._megabytes(), 0.0, threading.Event()
        begun = self._seconds()

        def watch() -> None:
            nonlocal peak
            while not ended.wait(0.02):
                peak = max(peak, self._megabytes())
                if peak - before > 2 * MEGABYTES or self._seconds() - begun > 2 * SECONDS:
                    self._process.kill()

        watching = threading.Thread(target=watch)
        watching.start()
        answer = self._ask([kind, str(path)], PATIENCE)
        seconds = self._seconds() - begun
        ended.set()
        watching.join()
        if answer is None:
            answer = f"fault: ended by {self._stop()}"
            self._start()
        if seconds > SECONDS:
            return f"fault: took {seconds:.0f} s; {answer}"
        if peak - before > MEGABYTES:
            return f"fault: took {peak - before:.0f} MB; {answer}"
        return answer

    def _seconds(self) -> float:
        """Processor time of the worker; endless when the process is gone."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return math.inf
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _megabytes(self) -> float:
        """Memory in use; 0 when the process is gone."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _stop(self) -> int:
        self._process.kill()
        with self._process:
            return self._process.wait()

    def close(self) -> None:
        self._stop()
        self._errors.close()


@pytest.fixture
def worker(tmp_path: Path) -> Any:
    started = Worker(tmp_path)
    yield started
    started.close()


def reported(faults: list[tuple[str, str]], answers: Counter[str], refuses: bool = True) -> None:
    """Fail with each distinct fault once; the inputs are made again by their numbers."""
    distinct = {answer.strip().splitlines()[-1][:200]: f"{name}\n{answer}" for name, answer in reversed(faults)}
    assert not faults, f"seed {SEED}, {dict(answers)}, {len(faults)} faults:\n" + "\n".join(distinct.values())
    assert answers["refused"] or not refuses  # else nothing was changed that mattered


FORMATS = [
    *("documents.jsonl", "documents.parquet", "page.html", "pages.warc", "pages.warc.gz", "pairs.csv", "pairs.jsonl"),
    *("pairs.jsonl.gz", "pairs.parquet", "pairs.tsv", "run.trec", "tiny.yaml", "vectors.txt"),
]


@pytest.mark.parametrize("name", FORMATS)
def test_a_file(name: str, worker: Worker, tmp_path: Path) -> None:
    seeds, inputs = tmp_path / "seeds", tmp_path / "inputs"
    seeds.mkdir()
    inputs.mkdir()
    kinds = {path.name: kind for kind, path in mutations.write_seeds(seeds)}
    assert sorted(kinds) == FORMATS
    answers, faults = Counter[str](), []
    for number in range(INPUTS):
        path = Path(shutil.copy(seeds / name, inputs))
        mutations.change(path, random.Random(f"{SEED} {name} {number}"))
        answer = worker.read(kinds[name], path)
        answers[answer.partition(":")[0]] += 1
        if answer.startswith("fault"):
            faults.append((f"{name} {number}", answer))
    reported(faults, answers, refuses=name != "page.html")  # any bytes are a page, as browsers have it


@pytest.mark.parametrize("part", ["bundle.json", "tokenizer.json", "model.int8.onnx", "model.onnx"])
def test_a_bundle(part: str, worker: Worker, tmp_path: Path) -> None:
    from tiny_bundle import write_bundle

    (tmp_path / "made").mkdir()
    _, bundle = write_bundle(tmp_path / "made", width=64)
    answers, faults = Counter[str](), []
    for number in range(INPUTS // 2):
        copy, draw = tmp_path / "copy", random.Random(f"{SEED} {part} {number}")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bundle, copy)
        mutations.change(copy / part, draw)
        if part == "model.onnx":
            described = json.loads((copy / "bundle.json").read_text())
            (copy / "bundle.json").write_text(json.dumps(described | {"precisions": ["fp32"]}))
        write_manifest(copy, "export", {}, {}, {}, 0.0)  # the digests are right: nothing but the content is wrong
        answer = worker.read("bundle", copy)
        answers[answer.partition(":")[0]] += 1
        if answer.startswith("fault"):
            faults.append((f"{part} {number}", answer))
    reported(faults, answers)


def test_a_run_folder(worker: Worker, finished: World) -> None:
    world = finished.recipe.parent
    files = [path for path in sorted(world.rglob("*")) if path.is_file() and path.stat().st_size < mutations.MOST_BYTES]
    answers, faults = Counter[str](), []
    for number in range(INPUTS // 4):
        draw = random.Random(f"{SEED} run folder {number}")
        path = draw.choice(files)
        content = path.read_bytes()
        mutations.change(path, draw)
        answer = worker.read("run folder", world)
        path.write_bytes(content)
        answers[answer.partition(":")[0]] += 1
        if answer.startswith("fault"):
            faults.append((f"{path.relative_to(world)} {number}", answer))
    reported(faults, answers | Counter(refused=1))  # the command line's refusals are exit codes
