"""Training on a CPU beside TextBrewer, a bare PyTorch loop, and an earlier commit of ours: one run, the same data.

    python -m benchmarks.train --textbrewer VENV --commit HASH

VENV holds textbrewer==0.2.1.post1 with our torch and transformers. Models, texts and ids are made up (MiniLM's sizes);
batch, epochs, α and the number of teachers are those of a row of `--recipe`. All parts have one number of threads and
one number format, and take turns `--rounds` times; ratios are medians over the rounds.

(a) from texts and ready-made teachers to the trained student, processes' starts included, each pair scored once by us
    and once an epoch by MultiTeacherDistiller
(b) its loop with cached logits   (c) a bare loop   (d) `tmkd distill` of a commit, from the start of the process
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
import yaml
from benchmarks.gpu import made_up
from benchmarks.gpu.bare import bare_loop
from benchmarks.gpu.made_up import REAL, TINY, Sizes
from benchmarks.gpu.speed import our_loop

from tmkd.machine import cores, machine_line, processor_flags
from tmkd.process import tune_process
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.rows import StageSpec
from tmkd.train.batches import Examples
from tmkd.train.hardware import Hardware, pick_precision

ROOT = Path(__file__).parents[1]
PEER = Path(__file__).with_name("peer_textbrewer.py")
AIMS = {"TextBrewer, end to end": 3.0, "TextBrewer, cached logits": 1.2, "bare loop": 1.0, "commit": 1.2}
AIM_AMX = 1.5  # of a commit, where the processor has AMX
SCORES = "scores.tsv"


@dataclass(frozen=True)
class World:
    """Made-up files of a run, and what is trained: the last stage of a row, its teachers, sizes, precision, threads."""

    folder: Path
    sizes: Sizes
    stage: StageSpec
    teachers: int
    precision: str
    threads: int

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process of a part."""
        return {**os.environ, "OMP_NUM_THREADS": str(self.threads), "HF_HUB_OFFLINE": "1"}

    def model(self, number: int) -> Path:
        """Folder of a teacher; the student starts from the first."""
        return self.folder / f"model{number}"


def write_world(world: World, train: int) -> None:
    """Write teachers, labelled pairs, and scores of the training pairs as an imported teacher has them."""
    for number in range(world.teachers):
        world.model(number).mkdir(parents=True)
        made_up.write_teacher(world.sizes, world.model(number))
    draws = np.random.default_rng(1)
    for seed, (name, pairs) in enumerate((("train", train), ("dev", 64), ("test", 64))):
        questions, passages = made_up.texts(world.sizes, pairs, made_up.web_lengths(pairs, seed), seed)
        labels = draws.permutation(np.arange(pairs) % 2)
        rows = list(zip(questions, passages, ("yes" if label else "no" for label in labels), strict=True))
        _write_tsv(world.folder / f"{name}.tsv", ("question", "passage", "label"), rows)
        if name != "test":
            logits = draws.normal(size=pairs) + 4.0 * labels - 2.0  # a teacher that has learned nothing is refused
            kept = [(*row[:2], f"{score:.4f}") for row, score in zip(rows, logits, strict=True)]
            _append_tsv(world.folder / SCORES, ("question", "passage", "score"), kept)


def write_recipe(world: World, path: Path, imported: bool, epochs: int) -> Path:
    """Write a recipe of one row, whose teachers score, or are one file of scores."""
    fit = {**world.stage.fit.model_dump(mode="json", exclude={"token_budget", "tensorboard"}), "epochs": epochs}
    models = {
        f"t{number + 1}": {
            "task": "toy", "model": f"m{number}", "classes": {"no": "LABEL_0", "yes": "LABEL_1"},
            "max_length": made_up.LONGEST, "force": True,
        }
        for number in range(world.teachers)
    }  # fmt: skip
    file = {"t1": {"task": "toy", "file": SCORES, "imported": "score", "scores": ["toy"]}}
    recipe = {
        "name": path.stem, "data": str(world.folder), "device": "cpu", "precision": world.precision,
        "pretrained": {f"m{number}": {"folder": str(world.model(number))} for number in range(world.teachers)},
        "tasks": {"toy": {"train": "train.tsv", "dev": "dev.tsv", "tests": {"test": "test.tsv"}}},
        "teachers": file if imported else models,
        "student": {
            "base": "m0", "layers": world.sizes.kept_layers, "max_length": made_up.LONGEST, "fresh_pooler": False
        },
        "rows": {"row": {"stages": [{"corpus": "task", "alpha": world.stage.alpha, "fit": fit}]}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def _write_tsv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)), encoding="utf-8")


def _append_tsv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines("\t".join(row) + "\n" for row in ((header, *rows) if not file.tell() else rows))


def tmkd(world: World, recipe: Path, runs: Path, verbs: Sequence[str], source: Path = ROOT) -> float:
    """Seconds that verbs of the command line take, by the source tree of some commit."""
    environment = {**world.environment, "PYTHONPATH": str(source / "src")}
    begun = time.perf_counter()
    for verb in verbs:
        words = [sys.executable, "-m", "tmkd", verb, str(recipe), "--runs", str(runs)]
        subprocess.run(words, env=environment, check=True, stdout=sys.stderr)
    return time.perf_counter() - begun


def textbrewer(world: World, python: Path, way: str, epochs: int) -> dict[str, float]:
    """Seconds and pairs/s that TextBrewer tells, and the seconds of its whole process."""
    with tempfile.TemporaryDirectory(dir=world.folder) as out:
        given = {
            "way": way, "epochs": epochs, "batch": world.stage.fit.batch, "rate": world.stage.fit.learning_rate,
            "alpha": world.stage.alpha, "bf16": world.precision == "bf16", "layers": world.sizes.kept_layers,
            "longest": made_up.LONGEST, "start": str(world.model(0)), "out": out,
            "teachers": [str(world.model(number)) for number in range(world.teachers)],
            "texts": str(world.folder / "train.tsv"), "ids": str(world.folder / "ids.npz"),
        }  # fmt: skip
        path = Path(out) / "given.json"
        path.write_text(json.dumps(given), encoding="utf-8")
        begun = time.perf_counter()
        done = subprocess.run(
            [python, PEER, path], env=world.environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - begun
    return {**json.loads(done.stdout.splitlines()[-1]), "process": seconds}


def end_to_end(world: World, python: Path, epochs: int) -> tuple[float, float]:
    """Seconds of ours and of TextBrewer's, from texts to a student."""
    recipe = write_recipe(world, world.folder / "whole.yaml", imported=False, epochs=epochs)
    runs = world.folder / "runs-whole"
    tmkd(world, recipe, runs, ["collect"])
    ours = tmkd(world, recipe, runs, ["teach", "score", "distill"])
    shutil.rmtree(runs)
    return ours, textbrewer(world, python, "whole", epochs)["process"]


def loops(world: World, python: Path | None, pairs: int) -> dict[str, float]:
    """Pairs/s of our loop, the bare one, and TextBrewer's with cached logits, over the same ids and logits."""
    tokens = made_up.mixed_lengths(world.sizes, pairs, seed=1)
    drawn = made_up.examples(tokens, seed=1)
    assert drawn.soft is not None
    soft = np.resize(drawn.soft, (pairs, world.teachers, 2))
    examples = Examples(tokens, drawn.labels, drawn.pad_id, soft)
    hardware, alpha, batch = Hardware("cpu", world.precision), world.stage.alpha, world.stage.fit.batch
    layers = world.sizes.kept_layers
    found = {"ours": our_loop(world.sizes, layers, examples, alpha, batch, hardware)}
    found["bare loop"] = bare_loop(world.sizes, layers, examples, alpha, batch, hardware)
    if python is not None:
        np.savez(
            world.folder / "ids.npz",
            ids=tokens.flat_ids, types=tokens.flat_types, lengths=tokens.lengths, labels=drawn.labels, soft=soft,
        )  # fmt: skip
        found["TextBrewer, cached logits"] = textbrewer(world, python, "cached", 1)["pairs_per_second"]
    return found


def distill(world: World, source: Path) -> float:
    """Seconds of one epoch's `tmkd distill` by a source tree; pairs and scores are there before."""
    recipe = write_recipe(world, world.folder / "fit.yaml", imported=True, epochs=1)
    runs = world.folder / "runs-fit"
    tmkd(world, recipe, runs, ["collect", "teach", "score"], source)
    seconds = tmkd(world, recipe, runs, ["distill"], source)
    shutil.rmtree(runs)
    return seconds


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Source tree of a commit, in a folder of its own for a while."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", tree], check=True)


def measure_round(world: World, fit: World, python: Path | None, commit: str | None, pairs: int) -> dict[str, float]:
    """Ratios of one round, by what ours is beside: greater is better; what they are of is printed."""
    found: dict[str, float] = {}
    if python is not None:
        ours, theirs = end_to_end(world, python, world.stage.fit.epochs)
        print(f"  end to end: ours {ours:.1f} s, TextBrewer {theirs:.1f} s", flush=True)
        found["TextBrewer, end to end"] = theirs / ours
    speeds = loops(world, python, pairs)
    print("  loops:", ", ".join(f"{name} {speed:.1f} pairs/s" for name, speed in speeds.items()), flush=True)
    found |= {name: speeds["ours"] / speed for name, speed in speeds.items() if name != "ours"}
    if commit is not None:
        with checked_out(commit) as tree:
            now, before = distill(fit, ROOT), distill(fit, tree)
        print(f"  tmkd distill: ours {now:.1f} s, {commit} {before:.1f} s", flush=True)
        found["commit"] = before / now
    return found


def main() -> None:
    """Read the options, measure in turns, print the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "demo.yaml")
    options.add_argument("--row", default="mkd")
    options.add_argument("--textbrewer", type=Path, help="its virtual environment")
    options.add_argument("--commit", help="an earlier commit of ours")
    options.add_argument("--pairs", type=int, default=1000, help="of (a)")
    options.add_argument("--loop-pairs", type=int, default=2000, help="of (b) and (c)")
    options.add_argument("--fit-pairs", type=int, default=5000, help="of (d)")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=cores())
    options.add_argument("--tiny", action="store_true", help="tiny sizes, to see that it works")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    tune_process()  # both loops of this process keep freed memory, as `tmkd` does
    recipe = read_recipe(given.recipe)
    stage = recipe.rows[given.row].stages[-1]
    teachers = sum(one.file is None for one in recipe.teachers.values())
    sizes, precision = TINY if given.tiny else REAL, pick_precision("auto", "cpu")
    print(
        f"{machine_line()}, {precision}; {teachers} teachers of {sizes.layers} layers, student of {sizes.kept_layers}, "
        f"width {sizes.width}, batch {stage.fit.batch}, {stage.fit.epochs} epochs",
        flush=True,
    )
    python = given.textbrewer / "bin" / "python" if given.textbrewer else None
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place) / "whole", sizes, stage, teachers, precision, given.threads)
        write_world(world, given.pairs)
        fit = replace(world, folder=Path(place) / "fit")
        write_world(fit, given.fit_pairs)
        for number in range(given.rounds):
            print(f"round {number + 1}", flush=True)
            for name, ratio in measure_round(world, fit, python, given.commit, given.loop_pairs).items():
                found.setdefault(name, []).append(ratio)
    aims = {**AIMS, "commit": AIM_AMX} if "amx_bf16" in processor_flags() else AIMS
    for name, every in found.items():
        print(f"{name:26} {median(every):5.2f} × ({min(every):.2f} to {max(every):.2f}), aim {aims[name]} ×")


if __name__ == "__main__":
    main()
