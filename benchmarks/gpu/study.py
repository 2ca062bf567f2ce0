"""A recipe's teachers and rows, their settings chosen on dev, trained and measured from packed inputs.

    python -m benchmarks.gpu.study recipes/webqa_gpu.yaml --inputs packed --out results --seconds 330

Several processes train side by side. First the teachers: as many as the recipe has, with the best of the settings tried
(benchmarks/settings_rule.py). Then the rate of stage 1; then each row's settings, tried with seed 1; then the rows with
each seed. After each row report.json and the files beside it are written anew: stopped anywhere, what is finished is
there. `--set device=cpu` runs the same on a processor.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.inputs import pair_counts, read_start
from benchmarks.gpu.models import START
from benchmarks.gpu.pool import Pool
from benchmarks.settings_rule import Tried, chosen
from transformers import __version__ as transformers_version

from tmkd.machine import machine_line
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.schema import Recipe
from tmkd.store import json_bytes, write_atomic
from tmkd.train.hardware import pick_hardware

ROWS = ("tmkd", "tkd", "mkd", "1-o-1", "bert-3", "1avg-o-1")


class Study:
    """Order of the work, and the report of what is finished."""

    def __init__(self, recipe: Recipe, given: argparse.Namespace, pool: Pool, shared: Path, facts: dict[str, Any]):
        self.recipe, self.given, self.pool, self.shared = recipe, given, pool, shared
        self.begun = time.perf_counter()
        self.rate: float | None = None
        self.probabilities: dict[str, np.ndarray] = {}
        self.tried: dict[str, list[Tried]] = {}
        self.report: dict[str, Any] = {**facts, "tried": {}, "teachers": {}, "rates": {}, "rows": {}}

    def run(self) -> None:
        """Do all of it, as far as the time goes."""
        if self.teach() and self.choose_rate():
            self.train()
        self.write()

    def teach(self) -> bool:
        """Train the teachers, each with its own seed, with the best settings in turn; False when time is over."""
        first, *_ = self.recipe.teachers
        for rate, dropout in itertools.product(self.given.teacher_rates, self.given.dropouts):
            setting = {"learning_rate": rate, "dropout": dropout}
            self.pool.start(f"try {first} {setting}", partial(self.add, "teachers"), "try_teacher", first, setting)
        if not self.pool.wait():
            return False
        best: dict[tuple[float, ...], Tried] = {}
        for one in sorted(self.tried["teachers"], key=lambda one: one.cost):
            best.setdefault(tuple(one.setting.values()), one)
        for name, one in zip(self.recipe.teachers, itertools.cycle(best.values()), strict=False):
            done = partial(self.done, "teachers", name, 0)
            self.pool.start(f"teach {name}", done, "teach", name, {**one.setting, "epochs": one.epochs})
        return self.pool.wait()

    def choose_rate(self) -> bool:
        """Choose the rate of first stages: the least cross-entropy on dev after some of the pairs."""
        costs: dict[float, float] = self.report["rates"]
        for rate in self.given.rates:
            done = partial(costs.__setitem__, rate)
            self.pool.start(f"rate {rate}", done, "try_rate", self.given.rows[0], rate, self.given.rate_pairs)
        if not self.pool.wait():
            return False
        self.rate = min(costs, key=lambda rate: costs[rate], default=None)
        self.say(f"rate of stage 1: {self.rate}")
        return True

    def train(self) -> None:
        """Choose each row's settings, then train it with every seed."""
        for row, rate in itertools.product(self.given.rows, self.given.row_rates):
            setting = {"learning_rate": rate}
            self.pool.start(f"try {row} {setting}", partial(self.row_tried, row), "try_row", row, setting, self.rate)
        self.pool.wait()

    def row_tried(self, row: str, tried: list[Tried]) -> None:
        """Keep the fits that were tried; after the last of them, train the row."""
        self.add(row, tried)
        if len({one.setting["learning_rate"] for one in self.tried[row]}) < len(self.given.row_rates):
            return
        best = chosen(self.tried[row])
        setting = {**best.setting, "epochs": best.epochs}
        self.say(f"{row}: {setting}")
        for seed in self.given.seeds:
            pieces = self.given.out if (row, seed) == (self.given.rows[0], self.given.seeds[0]) else None
            done = partial(self.done, "rows", row, seed)
            self.pool.start(f"{row}, seed {seed}", done, "train", row, seed, setting, self.rate, pieces)

    def add(self, of: str, tried: list[Tried]) -> None:
        """Keep fits that were tried."""
        self.tried.setdefault(of, []).extend(tried)
        self.report["tried"][of] = [asdict(one) for one in self.tried[of]]

    def done(self, kind: str, name: str, seed: int, found: dict[str, Any]) -> None:
        """Keep a trained model's measures and probabilities, and write the files anew."""
        self.probabilities |= {f"{name}.{seed}.{of}": array for of, array in found.pop("probabilities").items()}
        if kind == "teachers":
            self.report[kind][name] = found
        else:
            self.report[kind].setdefault(name, {})[str(seed)] = found
        accuracies = ", ".join(f"{of} {measures['accuracy']:.4f}" for of, measures in found["tests"].items())
        self.say(f"{name}, seed {seed}: dev {found['dev']['accuracy']:.4f}, {accuracies}")
        self.write()

    def say(self, what: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"{time.perf_counter() - self.begun:6.1f} s  {what}", flush=True)

    def write(self) -> None:
        """Write report.json, probabilities.npz and the teachers' logits of the stage-1 pairs."""
        self.given.out.mkdir(parents=True, exist_ok=True)
        facts = {"seconds": time.perf_counter() - self.begun, "failed": self.pool.failed}
        write_atomic(self.given.out / "report.json", json_bytes(self.report | facts))
        with tempfile.NamedTemporaryFile(dir=self.shared) as file:
            np.savez_compressed(file, **self.probabilities)  # type: ignore[arg-type]
            write_atomic(self.given.out / "probabilities.npz", Path(file.name).read_bytes())
        (corpus,) = self.recipe.collect
        path = self.given.out / f"{corpus}_logits.npz"
        if len(self.report["teachers"]) == len(self.recipe.teachers) and not path.exists():
            logits = {name: np.load(self.shared / f"{name}.npz")[corpus] for name in self.recipe.teachers}
            np.savez_compressed(path, **{name: array.astype(np.float16) for name, array in logits.items()})  # type: ignore[arg-type]


def main() -> None:
    """Read the options, train and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("recipe", type=Path)
    options.add_argument("--inputs", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--rows", nargs="+", default=list(ROWS))
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options.add_argument("--seconds", type=float, default=330.0, help="after them what is not finished is left")
    options.add_argument("--jobs", type=int, default=8, help="models trained side by side")
    options.add_argument("--teacher-rates", type=float, nargs="+", default=[1e-4, 2e-4], help="tried on dev")
    options.add_argument("--dropouts", type=float, nargs="+", default=[0.0, 0.1], help="of teachers, likewise")
    options.add_argument("--row-rates", type=float, nargs="+", default=[1e-4, 2e-4, 4e-4], help="of stage 2, likewise")
    options.add_argument("--rates", type=float, nargs="*", default=[1e-3, 2e-3, 3e-3], help="of stage 1, likewise")
    options.add_argument("--rate-pairs", type=int, default=200_000, help="pairs on which these are tried")
    options.add_argument("--set", dest="changes", action="append", default=[], help="a change of the recipe")
    given = options.parse_args()
    recipe = read_recipe(given.recipe, given.changes)
    hardware = pick_hardware(recipe.device, recipe.precision)
    facts = {
        "device": torch.cuda.get_device_name() if hardware.device == "cuda" else machine_line(),
        "precision": hardware.precision,
        "torch": torch.__version__,
        "transformers": transformers_version,
        "pairs": pair_counts(given.inputs),
        "recipe": recipe.model_dump(mode="json", include={"name", "teachers", "student", "stages", "rows"}),
    }
    until = time.perf_counter() + given.seconds
    with tempfile.TemporaryDirectory() as work:
        read_start(given.inputs, Path(work) / START)
        pool = Pool(given.jobs, given.recipe, given.changes, given.inputs, Path(work), until)
        try:
            Study(recipe, given, pool, Path(work), facts).run()
        finally:
            pool.end()


if __name__ == "__main__":
    main()
