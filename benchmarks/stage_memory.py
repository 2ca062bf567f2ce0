"""Memory and speed of stage 1 at several sizes of its corpus, at the start, the middle and the end of an epoch.

    python benchmarks/stage_memory.py --model FOLDER --folder scratch --pairs 100000 5000000
    python benchmarks/stage_memory.py --model FOLDER --folder scratch --pairs 100000 5000000 --processes 2

The corpus is made up, of words of the model's vocabulary; it stays in --folder, with its token ids. The middle and the
end are reached by resuming from a checkpoint put there, each in a process of its own. With --processes torchrun begins
that many ranks for each, with the threads that OMP_NUM_THREADS says, else one; the largest one's memory counts. Limits:
unshared memory (RssAnon) at most 10 % above that of the first corpus at the same place, the first step within 30 s,
pairs/s within 5 % of the start's.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tmkd import ranks
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_corpus
from tmkd.data.softlabels import TeacherColumn, shard_path, write_shard
from tmkd.data.text import PairTokenizer
from tmkd.data.token_store import write_tokens
from tmkd.machine import machine_line
from tmkd.process import tune_process
from tmkd.progress import progress
from tmkd.recipe.fit import FitSpec
from tmkd.recipe.parts import StudentSpec
from tmkd.recipe.rows import StageSpec
from tmkd.store import WORK, digest_path, verify, write_manifest

LABELS = LabelSet("made-up", ("no", "yes"), "yes")
TEACHERS = ("t1", "t2", "t3")
LONGEST = 128
SHARD = 8192
MOST_MEMORY, MOST_SECONDS, MOST_SLOWER = 1.1, 30.0, 0.05
PLACES = {"start": 0.0, "middle": 0.5, "end": 1.0}  # shares of an epoch


def main() -> None:
    """Read the options and measure; with --at, in one process at one place, printed as JSON."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--pairs", type=int, nargs="+", default=[100_000, 5_000_000])
    options.add_argument("--steps", type=int, default=300)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--layers", type=int, default=3)
    options.add_argument("--processes", type=int, default=1, help="Ranks that train together.")
    options.add_argument("--at", choices=("make", *PLACES), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.at is not None:
        tune_process()
        home = given.folder / str(given.pairs[0])
        if given.at == "make":
            found = make(home, given.model, given.pairs[0])
        else:
            found = train(home, given.model, given.layers, given.batch, given.steps, PLACES[given.at])
        print(json.dumps(found) + "\n", end="")  # written at once: several ranks have the same output
        return
    print(
        f"{machine_line()}; {given.processes} processes, batch {given.batch}, {given.layers} layers, "
        f"{len(TEACHERS)} teachers"
    )
    smallest: dict[str, float] = {}
    for pairs in given.pairs:
        made = _in_processes(1, pairs, "make")
        print(f"{pairs:,} pairs: {made['token_ids']:,} token ids, tokenised in {made['seconds']:.0f} s")
        first: float | None = None
        for place in PLACES:
            found = _in_processes(given.processes, pairs, place)
            memory, speed = found["rss_anon_mb"], found["pairs_per_second"]
            first, more = first or speed, memory / smallest.setdefault(place, memory)
            limits = {
                "memory": more <= MOST_MEMORY,
                "first step": found["first_step_seconds"] <= MOST_SECONDS,
                "speed": abs(speed / first - 1) <= MOST_SLOWER,
            }
            broken = [name for name, kept in limits.items() if not kept]
            print(
                f"  {place:6} from step {found['step']:,}: first step after {found['first_step_seconds']:.1f} s, "
                f"RssAnon {memory:.0f} MB ({more - 1:+.1%}), "
                f"{speed:.1f} pairs/s ({speed / first - 1:+.1%})"
                + (f"; beyond its limit: {', '.join(broken)}" if broken else "")
            )


def _in_processes(count: int, pairs: int, place: str) -> dict[str, Any]:
    """Do one part of the measurement in fresh processes, with the options of this one; each fact is the largest."""
    options = [__file__, *sys.argv[1:], "--at", place, "--pairs", str(pairs)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)] if count > 1 else []
    done = subprocess.run([sys.executable, *torchrun, *options], stdout=subprocess.PIPE, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(found) == count
    return {fact: max(one[fact] for one in found) for fact in found[0]}


def make(home: Path, model: Path, pairs: int) -> dict[str, float]:
    """Write a corpus, three teachers' logits and the token ids, unless they are there; returns the manifest's facts."""
    tokens = home / "tokens"
    if not (tokens / "manifest.json").is_file():
        tokenizer = PairTokenizer.load(model, LONGEST)
        corpus = write_corpus(home / "corpus", LABELS, made_up_pairs(tokenizer, pairs))
        draws = np.random.default_rng(2)
        for teacher in TEACHERS:
            (home / teacher).mkdir(exist_ok=True)
            for shard in corpus.shards:
                logits = draws.normal(size=(shard.rows, 2)).astype(np.float32)
                write_shard(shard_path(home / teacher, teacher, shard.digest), logits, teacher, shard.digest)
        tokens.mkdir(exist_ok=True)
        begun = time.perf_counter()
        with progress("tokens", "pairs") as report:
            facts = write_tokens(corpus, tokenizer, tokens, report)
        write_manifest(tokens, "tokens", {}, {}, facts, time.perf_counter() - begun)
    manifest = verify(tokens)
    return {**manifest.facts, "seconds": manifest.seconds}


def made_up_pairs(tokenizer: PairTokenizer, pairs: int) -> Iterator[pa.Table]:
    """Questions of 6 words, ten passages of 12 to 80 words each."""
    words = sorted(word for word in tokenizer.known_ids() if re.fullmatch("[a-z]+", word))
    draws = np.random.default_rng(1)
    for start in range(0, pairs, SHARD):
        count = min(SHARD, pairs - start)
        drawn = [[words[place] for place in row] for row in draws.integers(len(words), size=(count, 86)).tolist()]
        lengths = draws.integers(12, 81, size=count).tolist()
        questions = [" ".join(drawn[place // 10][:6]) for place in range(count)]
        yield pair_table(questions, [" ".join(row[6 : 6 + most]) for row, most in zip(drawn, lengths, strict=True)])


def train(home: Path, model: Path, layers: int, batch: int, steps: int, place: float) -> dict[str, float]:
    """Train stage 1 for some steps from a place of its epoch on, as `tmkd distill` does, from the start of the process.

    The start leaves the checkpoint that the other places resume from.
    """
    begun = time.monotonic()
    from tmkd.distill.stage import StageData, StudentStart, run_stage
    from tmkd.train.hardware import pick_hardware
    from tmkd.train.trainer import StepTrainer

    for needed in ("corpus", *TEACHERS):
        digest_path(home / needed)  # as a step verifies the artifacts that it needs
    verify(home / "tokens")
    corpus, folder = Corpus.open(home / "corpus"), home / "student"
    step = round(place * max(-(-len(corpus) // batch) - steps - 1, 0))
    if ranks.is_first():
        if step:
            _put_checkpoint(home / "checkpoint", folder / WORK, step)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
    fit = FitSpec(batch=batch, epochs=1, dropout=0.0, checkpoint_steps=steps)
    stage = StageSpec(corpus="web", alpha=1.0, teachers=TEACHERS, fit=fit)
    student = StudentSpec(base="model", layers=layers, max_length=LONGEST, fresh_pooler=True)
    columns = tuple(TeacherColumn(teacher, teacher, home / teacher) for teacher in TEACHERS)
    clock: list[float] = []
    memory: list[float] = []
    step_of = StepTrainer.training_step

    def timed(self: StepTrainer, *arguments: Any) -> Any:
        clock.append(time.monotonic())
        if len(clock) > steps:
            raise Enough
        if len(clock) > 1:
            memory.append(_rss_anon())
        return step_of(self, *arguments)

    StepTrainer.training_step = timed  # type: ignore[assignment, method-assign]
    try:
        start, data = StudentStart(student, model, None), StageData(corpus, home / "tokens", columns, None)
        run_stage(stage, start, data, 1, pick_hardware("auto", "auto"), folder, "stage 1")
    except Enough:
        pass
    finally:
        StepTrainer.training_step = step_of  # type: ignore[method-assign]
    if not step and ranks.is_first():
        shutil.rmtree(home / "checkpoint", ignore_errors=True)
        shutil.copytree(folder / WORK / f"checkpoint-{steps}", home / "checkpoint")
    warm = min(steps // 10 + 1, steps - 1)
    return {
        "step": step,
        "first_step_seconds": clock[1] - begun,
        "rss_anon_mb": max(memory),
        "pairs_per_second": batch * (len(clock) - 1 - warm) / (clock[-1] - clock[warm]),
    }


class Enough(Exception):
    """End of a measurement."""


def _put_checkpoint(checkpoint: Path, work: Path, step: int) -> None:
    """Put a checkpoint into a fit's folder as if it were of another step."""
    from tmkd.train.checkpoints import MARKER, seal

    for old in work.glob("checkpoint-*"):
        shutil.rmtree(old)
    folder = work / f"checkpoint-{step}"
    shutil.copytree(checkpoint, folder)
    (folder / MARKER).unlink()
    state = json.loads((folder / "trainer_state.json").read_bytes())
    (folder / "trainer_state.json").write_text(json.dumps(state | {"global_step": step}))
    seal(folder, 0.0)


def _rss_anon() -> float:
    """Memory of this process that no file backs, in MB."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
