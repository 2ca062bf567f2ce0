"""Speed and memory of collecting: our search beside bm25s on one core; `tmkd collect` as the questions grow.

    python benchmarks/collect.py            our search and bm25s, same passages, same questions, in turns
    python benchmarks/collect.py --scale    `tmkd collect` on 1/16, 1/4 and all of the questions

The data is that of recipes/webqa.yaml (docs/data.md); bm25s and numba come with `pip install '.[bench]'`. Each target
is printed as reached or not; nothing is asserted, since the numbers depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tmkd.data.words import search_terms
from tmkd.evaluate.speed import in_turns
from tmkd.machine import machine_line
from tmkd.search.candidates import candidates
from tmkd.search.index import STOP_WORDS, TantivyIndex
from tmkd.search.passage_store import Passage

ROOT = Path(__file__).resolve().parents[1]
PASSAGES, QUESTIONS = "unlabelled/passages.parquet", "unlabelled/questions.parquet"
TOP = 10
MEBI = 1 << 20
Search = Callable[[Sequence[str]], list[list[int]]]  # questions → numbers of the best passages of each, best first


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the data, from ROOT")
    options.add_argument("--questions", type=int, help="random questions (default: 500; with --scale: all there are)")
    options.add_argument("--repeats", type=int, default=5, help="how often each search is timed, in turns")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--scale", action="store_true", help="measure `tmkd collect` as the questions grow")
    given = options.parse_args()
    data = (ROOT / given.data).resolve()
    drawn = _drawn(data / QUESTIONS, given.questions or (None if given.scale else 500), given.seed)
    print(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        if given.scale:
            scale(data, drawn, Path(folder))
        else:
            passages = pq.read_table(data / PASSAGES, columns=["passage"])["passage"].to_pylist()
            search(passages, drawn, given.repeats, Path(folder))


def _drawn(path: Path, number: int | None, seed: int) -> list[str]:
    """`number` questions (None: all) in random order, so that every prefix is a random sample."""
    questions = pq.read_table(path, columns=["question"])["question"].to_pylist()
    return [questions[row] for row in np.random.default_rng(seed).permutation(len(questions))[:number]]


# -- search ----------------------------------------------------------------------------------------------------------


def search(passages: list[str], questions: list[str], repeats: int, folder: Path) -> None:
    """Time each engine with the same questions and passages on one core, and compare the passages found."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")  # before numba is loaded
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{len(passages):,} passages, {len(questions):,} questions, top {TOP}; one core, median of {repeats} repeats")
    engines = {
        "tmkd (tantivy)": ours(passages, folder),
        "bm25s numba": peer(passages, "numba"),
        "bm25s numpy": peer(passages, "numpy"),
    }
    found = {name: engine(questions) for name, engine in engines.items()}  # also the warm-up
    seconds = in_turns({name: partial(engine, questions) for name, engine in engines.items()}, repeats)
    print()
    for name, times in seconds.items():
        slowest, middle, fastest = (1000 * each / len(questions) for each in (max(times), median(times), min(times)))
        print(f"{name:<16} {middle:8.3f} ms/question ({fastest:.3f} to {slowest:.3f})")
    print()
    # Ratios within one turn: other load on the machine slows both.
    numba, numpy = (
        median(own / other for own, other in zip(seconds["tmkd (tantivy)"], seconds[peers], strict=True))
        for peers in ("bm25s numba", "bm25s numpy")
    )
    _target(f"{1 / numpy:.1f} times as fast as bm25s with numpy", "at least 20", numpy <= 1 / 20)
    _target(f"{numba:.2f} times the time of bm25s with numba", "at most 2", numba <= 2)
    own, others = found["tmkd (tantivy)"], found["bm25s numba"]
    shared = mean(_overlap(passages, one, other) for one, other in zip(own, others, strict=True) if one)
    _target(f"{shared:.3f} of our top {TOP} are bm25s's too", "at least 0.8", shared >= 0.8)
    print(f"  {_first(passages, own, others):.3f} of the first passages are the same; {own.count([])} without any")
    print("  tantivy keeps a passage's length in one byte, bm25s whole: near-ties fall differently, equal scores too")


def words(text: str) -> list[str]:
    """Terms of a text as in our index: `search_terms` without stop words."""
    return [term for term in search_terms(text) if term not in STOP_WORDS and len(term) <= 40]


def ours(passages: Sequence[str], folder: Path) -> Search:
    """Our index, searched by the function that `tmkd collect` calls; a passage's url is its number."""
    start = time.perf_counter()
    index = TantivyIndex.build(folder, (Passage(str(number), "", text) for number, text in enumerate(passages)))
    print(f"tmkd (tantivy) indexed in {time.perf_counter() - start:.1f} s")
    return lambda questions: [[int(hit.url) for hit in candidates(index, question, TOP)] for question in questions]


def peer(passages: Sequence[str], backend: str) -> Search:
    """bm25s with the same words and the same BM25; one call for all questions, its fastest way."""
    import bm25s

    start = time.perf_counter()
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend=backend)
    index.index([words(passage) for passage in passages], show_progress=False)
    print(f"bm25s {backend} indexed in {time.perf_counter() - start:.1f} s")

    def find(questions: Sequence[str]) -> list[list[int]]:
        queries = [list(dict.fromkeys(words(question))) for question in questions]
        numbers, scores = index.retrieve(queries, k=TOP, show_progress=False, n_threads=0)
        # A passage with score 0 shares no word with the question; our search does not return it.
        return [own[score > 0].tolist() for own, score in zip(numbers, scores, strict=True)]

    return find


def _overlap(passages: Sequence[str], own: Sequence[int], others: Sequence[int]) -> float:
    """Share of our passages that the other engine finds too, compared by text because texts repeat."""
    theirs = {passages[number] for number in others}
    return sum(passages[number] in theirs for number in own) / len(own)


def _first(passages: Sequence[str], own: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> float:
    pairs = [(one[0], other[0]) for one, other in zip(own, others, strict=True) if one and other]
    return mean(passages[one] == passages[other] for one, other in pairs)


# -- scale -----------------------------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """Cost of one `tmkd collect`: wall time (s) and peak anonymous memory of all its processes together."""

    seconds: float
    bytes: int


def scale(data: Path, questions: list[str], folder: Path) -> None:
    """Collect for 1/16, 1/4 and all of the questions, top 10, each in its own run of the command line."""
    print("questions       pairs    seconds  s/10,000  peak RssAnon   s of each step")
    found = []
    for number in (len(questions) // 16, len(questions) // 4, len(questions)):
        place = folder / str(number)
        recipe = _recipe(place, data, questions[:number])
        cost = measure([sys.executable, "-m", "tmkd", "collect", str(recipe), "--runs", str(place / "runs")])
        manifests = sorted((place / "runs").glob("scale/*/web/manifest.json"))
        steps = {path.parents[1].name: json.loads(path.read_text()) for path in manifests}
        pairs = steps["pairs"]["facts"]["pairs"]
        durations = ", ".join(f"{name} {step['seconds']:.1f}" for name, step in steps.items())
        each = 1e4 * cost.seconds / number
        memory = f"{cost.bytes / MEBI:,.0f} MiB"
        print(f"{number:9,} {pairs:11,} {cost.seconds:10.1f} {each:9.2f} {memory:>13}   {durations}", flush=True)
        found.append((number, cost))
    (few, short), (some, middle), (all_, last) = found
    print()
    _target(f"all in {last.seconds / 60:.1f} min", "at most 20", last.seconds <= 1200)
    _target(f"RssAnon {last.bytes / MEBI:,.0f} MiB at most", "less than 2,048", last.bytes < 2048 * MEBI)
    early = (middle.seconds - short.seconds) / (some - few)
    late = (last.seconds - middle.seconds) / (all_ - some)
    print(f"a further question takes {1000 * early:.2f} ms up to 1/4 of them, {1000 * late:.2f} ms from there to all")


def _recipe(folder: Path, data: Path, questions: list[str]) -> Path:
    """Write recipes/webqa.yaml with these questions and without teachers and rows; the leakage guard is kept."""
    folder.mkdir()
    pq.write_table(pa.table({"question": questions}), folder / "questions.parquet")
    values: dict[str, object] = yaml.safe_load((ROOT / "recipes" / "webqa.yaml").read_text(encoding="utf-8"))
    web = {"task": "webqa", "passages": PASSAGES, "questions": str(folder / "questions.parquet"), "top": TOP}
    values |= {"name": "scale", "data": str(data), "collect": {"web": web}, "teachers": {}, "rows": {}}
    path = folder / "scale.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def measure(command: list[str]) -> Cost:
    """Run a command; every 0.2 s, sample the anonymous memory (RssAnon) of it and its children."""
    start = time.perf_counter()
    largest = 0
    ended = threading.Event()

    def watch(root: int) -> None:
        nonlocal largest
        while not ended.wait(0.2):
            largest = max(largest, sum(map(_rss_anon, _tree(root))))

    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watcher = threading.Thread(target=watch, args=(child.pid,))
    watcher.start()
    _, errors = child.communicate()
    seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    if child.returncode:
        sys.exit(errors)
    return Cost(seconds, largest)


def _tree(root: int) -> list[int]:
    """A process and all its descendants, from /proc; the process alone without /proc."""
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # ended meanwhile
            continue
        below.setdefault(parent, []).append(int(path.parent.name))
    found = [root]
    for process in found:
        found.extend(below.get(process, []))
    return found


def _rss_anon(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    line = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
    return 1024 * int(line[1]) if line else 0


def _target(what: str, target: str, reached: bool) -> None:
    print(f"{what} (target: {target}) — {'reached' if reached else 'NOT reached'}")


if __name__ == "__main__":
    main()
