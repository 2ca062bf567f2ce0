"""Cost of a pair by the local engine and by Ray as pairs grow, and what the driver of very many shards needs.

    python -m benchmarks.engines score --model FOLDER --folder scratch --pairs 10000 100000 1000000
    python -m benchmarks.engines score --model FOLDER --folder scratch --pairs 100000 --engines local ray --repeats 3
    python -m benchmarks.engines precompute --run runs/demo --pairs 10000 100000 1000000
    python -m benchmarks.engines driver --folder scratch --shards 1000 10000 100000 1000000

score: a one-layer network of random weights, of the shape of --model, scores made-up pairs. precompute: the bundle of a
finished run answers questions drawn from its index, ten pairs each. Workers have one thread; start-up ends when all of
them have opened their model. Ray runs on one node, begun here. driver: shards are empty, so nothing but the bookkeeping
is measured, each number of them in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks.precompute import questions
from benchmarks.stage_memory import LABELS, LONGEST, made_up_pairs

from tmkd.data.pairs import SCHEMA, Corpus, Shard, seal_corpus, write_corpus, write_shard
from tmkd.data.softlabels import shard_path
from tmkd.data.softlabels import write_shard as write_logits
from tmkd.data.text import PairTokenizer
from tmkd.engines.engine import Done, Engine, Piece, Result, Work
from tmkd.engines.local import LocalEngine
from tmkd.engines.ray import RayEngine
from tmkd.machine import SHARE, machine_line
from tmkd.search.index import TantivyIndex
from tmkd.serve.precompute import Answering, precompute
from tmkd.store import read_manifest, verify, write_manifest

SHARD = 8192
MOST_OVERHEAD = 0.10  # of Ray, against as many local workers
FLAT = 0.10  # difference from the first cost per pair
TEACHER = "f" * 64
Job = Callable[[Engine, int], int]  # does some pairs by an engine; returns how many there were


@dataclass
class Timed:
    """Engine that notes the seconds until all workers of the last work were ready, and from then to its end."""

    engine: Engine
    start_up: float = 0.0
    work: float = 0.0
    check: Callable[[], None] = field(default=lambda: None)

    def map(self, work: Work[Piece, Result], pieces: Iterable[Piece], most: int) -> Iterator[Done[Result]]:
        """Do the work as the engine does."""
        with tempfile.TemporaryDirectory() as folder:
            begun = time.time()
            noted = replace(work, make=_noted, given=(work.make, work.given, Path(folder)))
            yield from self.engine.map(noted, pieces, most)
            ended = time.time()
            ready = max(float(path.read_text(encoding="utf-8")) for path in Path(folder).iterdir())
        self.start_up, self.work = ready - begun, ended - ready


def _noted(make: Callable[..., Any], given: tuple[Any, ...], folder: Path) -> Any:
    made = make(*given)
    (folder / str(os.getpid())).write_text(str(time.time()), encoding="utf-8")
    return made


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("what", choices=("score", "precompute", "driver"))
    options.add_argument("--model", type=Path, help="a pretrained BERT")
    options.add_argument("--run", type=Path, default=Path("runs/demo"))
    options.add_argument("--corpus", default="web", help="whose index the run's questions are drawn from")
    options.add_argument("--folder", type=Path, default=Path("scratch"), help="for corpora, which stay there")
    options.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000])
    options.add_argument("--engines", nargs="+", choices=("local", "ray"), default=["local"])
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--repeats", type=int, default=1)
    options.add_argument("--shards", type=int, nargs="+", default=[1_000, 10_000])
    options.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.what == "driver":
        _driver(given.folder, given.shards, given.here)
        return
    print(f"{machine_line()}; {given.workers} workers, a thread each")
    os.environ |= {SHARE: str(given.workers), "OMP_NUM_THREADS": "1"}
    if given.what == "score":
        job = partial(_score, _teacher(given.model, given.folder), given.folder)
    else:
        job = partial(_precompute, given.run, given.corpus)
    engines: dict[str, Engine] = {"local": LocalEngine(given.workers)}
    if "ray" in given.engines:
        import ray

        ray.init(num_cpus=given.workers, object_store_memory=80_000_000, include_dashboard=False, log_to_driver=False)
        engines["ray"] = RayEngine(workers=given.workers)
    _costs(job, {name: engines[name] for name in given.engines}, given.pairs, given.repeats)


def _costs(job: Job, engines: dict[str, Engine], pairs: list[int], repeats: int) -> None:
    """Print the cost of a pair at each number of pairs, and Ray's beside the local engine's."""
    first: dict[str, float] = {}
    for number in pairs:
        cost: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(repeats):  # in turns, so that other load slows both alike
            for name, engine in engines.items():
                timed, begun = Timed(engine), time.perf_counter()
                done = job(timed, number)
                total = time.perf_counter() - begun
                cost[name].append(1e6 * timed.work / done)
                print(
                    f"  {name:5} {done:>9,} pairs: start-up {timed.start_up:.1f} s, work {timed.work:.1f} s, around it "
                    f"{total - timed.start_up - timed.work:.1f} s; {cost[name][-1]:.1f} µs a pair",
                    flush=True,
                )
        for name, costs in cost.items():
            more = median(costs) / first.setdefault(name, median(costs)) - 1
            print(f"  {name:5} {number:>9,} pairs: {median(costs):.1f} µs a pair, {_verdict(more, FLAT)} the first")
        if len(cost) == 2:
            more = median(cost["ray"]) / median(cost["local"]) - 1
            print(f"  ray   {number:>9,} pairs: {_verdict(more, MOST_OVERHEAD)} the local engine")


def _verdict(more: float, most: float) -> str:
    return f"{more:+.1%} ({'within' if more <= most else 'BEYOND'} {most:.0%}) against"


def _teacher(model: Path, folder: Path) -> Path:
    """Write a classifier of one layer, of a model's shape and tokenizer, with random weights."""
    import shutil

    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from tmkd.network.encoder import quiet

    made = folder / "teacher"
    torch.manual_seed(1)
    names = {"id2label": dict(enumerate(LABELS.names)), "label2id": {name: n for n, name in enumerate(LABELS.names)}}
    config = AutoConfig.from_pretrained(model, local_files_only=True, num_hidden_layers=1, num_labels=2, **names)
    with quiet():
        AutoModelForSequenceClassification.from_config(config).save_pretrained(made)
    for path in model.glob("*token*"):
        shutil.copy(path, made)
    return made


def _score(teacher: Path, folder: Path, engine: Engine, pairs: int) -> int:
    """Score a made-up corpus, which is written at its first use."""
    from tmkd.teachers.network import load
    from tmkd.teachers.score import Opener, score_shards
    from tmkd.train.hardware import pick_hardware

    place = folder / f"corpus-{pairs}"
    if not place.is_dir():
        write_corpus(place, LABELS, made_up_pairs(PairTokenizer.load(teacher, LONGEST), pairs), SHARD)
    corpus = Corpus.open(place)
    opener = Opener(partial(load, teacher, LABELS, {}, LONGEST, pick_hardware("cpu", "auto"), "teacher"))
    with tempfile.TemporaryDirectory() as out:
        todo = range(len(corpus.shards))
        return int(score_shards(opener, corpus, todo, Path(out), TEACHER, engine, lambda *now: None)["scored_now"])


def _precompute(run: Path, corpus: str, engine: Engine, pairs: int) -> int:
    """Answer drawn questions, ten pairs each."""
    answering = Answering(run / "bundle", run / "index" / corpus, 10, keep=5)
    asked = questions(TantivyIndex(answering.index), pairs // 10)
    with tempfile.TemporaryDirectory() as out:
        facts = precompute(
            answering, pa.table({"group": asked, "question": asked}), Path(out), lambda *now: None, engine
        )
    return int(str(facts["scored_pairs"]))


def _driver(folder: Path, shards: list[int], here: bool) -> None:
    """Measure each number of empty shards in a fresh process."""
    if here:
        _bookkeeping(folder / f"empty-{shards[0]}", shards[0])
        return
    print(machine_line())
    for number in shards:
        words = [
            sys.executable,
            "-m",
            "benchmarks.engines",
            "driver",
            "--folder",
            str(folder),
            "--shards",
            str(number),
            "--here",
        ]
        subprocess.run(words, check=True)


def _bookkeeping(folder: Path, number: int) -> None:
    """Print seconds, peak memory and sizes of all that is done about shards, beside making them."""
    from tmkd.teachers.score import unscored  # loads torch, which is not to be timed

    os.fsync = lambda fd: None  # the files need not outlast a crash of the machine
    corpus, logits = folder / "corpus", folder / "logits"
    begun = time.perf_counter()

    def told(what: str, more: str = "") -> None:
        nonlocal begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  {number:>9,} shards: {what}: {time.perf_counter() - begun:.2f} s, {peak:,.0f} MB{more}", flush=True)
        begun = time.perf_counter()

    for place in (corpus, logits):
        place.mkdir(parents=True, exist_ok=True)
    write_shard(corpus, "empty", SCHEMA.empty_table())
    names = [f"shard-{index:05d}.parquet" for index in range(number)]
    for name in names:
        (corpus / name).write_bytes((corpus / "empty").read_bytes())
    (corpus / "empty").unlink()
    # Digests that differ, as those of shards with pairs do.
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    seal_corpus(corpus, LABELS, [Shard(name, 0, digest) for name, digest in zip(names, digests, strict=True)])
    told("made", f", corpus.json {(corpus / 'corpus.json').stat().st_size / 1e6:.1f} MB")
    opened = Corpus.open(corpus)
    told("corpus opened")
    assert len(unscored(opened, logits, TEACHER)) == number
    told("shards without logits found")
    done = sum(1 for _ in LocalEngine(2).map(Work(_nothing, ()), opened.shards, number))
    told("mapped by two local workers", f", {done:,} results")
    for digest in digests:
        write_logits(shard_path(logits, TEACHER, digest), np.empty((0, 2), dtype=np.float32), TEACHER, digest)
    told("logits made")
    assert not unscored(opened, logits, TEACHER)
    told("all logits found and read")
    write_manifest(logits, "score/web/t1", {}, {}, {}, 0.0)
    told("sealed", f", manifest.json {(logits / 'manifest.json').stat().st_size / 1e6:.1f} MB")
    assert read_manifest(logits) is not None
    told("manifest read, as each plan does")
    verify(logits)
    told("verified, as each step that needs it does")


def _nothing() -> Callable[[Shard], None]:
    return lambda shard: None


if __name__ == "__main__":
    main()
