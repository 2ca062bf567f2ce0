"""A recipe's teachers and rows trained and measured in one process, from packed inputs (`benchmarks.gpu.pack`).

    python -m benchmarks.gpu.study recipes/webqa_gpu.yaml --inputs packed --out results --seconds 330

Teachers first, then the rows in the order of `--rows` with seed 1, then the same with the next seeds, as long as they
end within `--seconds` if they take as long as before. After each of them report.json and the files beside it are
written anew: stopped anywhere, what is finished is there. `--set device=cpu` runs the same on a processor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.inputs import PairSet, read_pairs, read_start
from benchmarks.gpu.pieces import write_pieces
from torch import nn
from transformers import __version__ as transformers_version

from tmkd.data.labels import LabelSet
from tmkd.data.text import PairTokenizer
from tmkd.distill import rows
from tmkd.distill.rows import PlannedStage, best_by_dev, chain_key
from tmkd.machine import machine_line
from tmkd.metrics.quality import accuracy, auc, ranking, softmax
from tmkd.network import Student
from tmkd.network.device import place
from tmkd.network.encoder import fresh_pooler
from tmkd.network.headers import Header
from tmkd.network.scoring import network_logits
from tmkd.recipe.parts import FitSpec
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.schema import Recipe, TeacherSpec
from tmkd.store import digest_bytes, json_bytes, write_atomic
from tmkd.teachers.network import forward, open_model
from tmkd.train.batches import Examples
from tmkd.train.hardware import Hardware, pick_hardware
from tmkd.train.loop import fit
from tmkd.train.trainer import HeaderLogits, Training

ROWS = ("tmkd", "tkd", "mkd", "1-o-1", "bert-3", "1avg-o-1")
NEVER = 10**9  # checkpoints: a study is not resumed


class Study:
    """Trained models of a recipe: teachers' logits of every set, students by their chain of stages and seed."""

    def __init__(self, recipe: Recipe, inputs: Path, work: Path, out: Path, hardware: Hardware) -> None:
        ((self.task, task),) = recipe.tasks.items()
        self.recipe, self.work, self.out, self.hardware = recipe, work, out, hardware
        self.labels = LabelSet(self.task, task.labels, task.positive)
        self.tests = tuple(task.tests)
        self.base = read_start(inputs, work / "start")
        self.tokenizer = PairTokenizer.load(self.base, recipe.student.max_length)
        self.sets = read_pairs(inputs, self.tokenizer)
        self.logits: dict[str, dict[str, np.ndarray]] = {name: {} for name in self.sets}  # set → teacher → logits
        self.digests: dict[str, str] = {}
        self.dev: dict[str, float] = {}
        self.students: dict[str, Student] = {}
        self.fits: dict[str, dict[str, Any]] = {}
        self.rate: float | None = None  # of the first stages; None: the recipe's
        self.probabilities: dict[str, np.ndarray] = {}
        self.report: dict[str, Any] = {"teachers": {}, "rows": {}}

    def teach(self, name: str, spec: TeacherSpec) -> None:
        """Train a teacher on golden labels, as `tmkd teach` does, and score every set with it."""
        begun = time.perf_counter()
        torch.manual_seed(spec.seed)
        model = open_model(self.base, name, num_labels=len(self.labels.names))
        model.config.pad_token_id = self.tokenizer.settings.pad_id
        if spec.fresh_pooler is True:
            fresh_pooler(model.base_model, spec.seed)
        train = self.sets["train"]

        def scores(of: PairSet) -> np.ndarray:
            return self._scores(model, forward, of)

        report = fit(
            model,
            lambda network, inputs: forward(network, inputs).unsqueeze(1),
            Examples(train.tokens, train.labels, self.tokenizer.settings.pad_id),
            Training(_unsaved(spec.fit), 0.0, spec.seed, self.hardware),
            work=self.work / name,
            dev=lambda: accuracy(scores(self.sets["dev"]), self.sets["dev"].labels),
            title=f"teach {name}",
        )
        trained = time.perf_counter()
        for of, pairs in self.sets.items():
            self.logits[of][name] = scores(pairs)
        seconds = time.perf_counter() - trained
        self.digests[name] = digest_bytes(b"".join(own[name].tobytes() for own in self.logits.values()))
        self.dev[name] = max(report.dev)
        self.report["teachers"][name] = {
            "fit": asdict(report),
            "seconds": trained - begun,
            "pairs_scored_per_second": sum(map(len, self.sets.values())) / seconds,
            "tests": self._judged(name, 0, {of: softmax(self.logits[of][name]) for of in self.tests}),
        }

    def row(self, name: str, seed: int) -> None:
        """Train a row's students, as `tmkd distill` does, and measure them on the tests."""
        begun = time.perf_counter()
        chains = self.members(name)
        students = [self.student(chain, seed) for chain in chains]
        seconds = time.perf_counter() - begun
        found = {
            of: np.mean([softmax(self._student_scores(student, self.sets[of])) for student in students], axis=0)
            for of in (*self.tests, "dev")
        }
        kept = {of: probabilities for of, probabilities in found.items() if of in self.tests}
        self.report["rows"].setdefault(name, {})[str(seed)] = {
            "seconds": seconds,
            "dev": accuracy(found["dev"], self.sets["dev"].labels),
            "fits": [
                self.fits[chain_key(chain[:depth], seed)] for chain in chains for depth in range(1, len(chain) + 1)
            ],
            "tests": self._judged(name, seed, kept),
        }

    def expected(self, row: str) -> float:
        """Seconds that a row took with an earlier seed; 0 where there is none."""
        return max((kept["seconds"] for kept in self.report["rows"].get(row, {}).values()), default=0.0)

    def members(self, row: str) -> list[tuple[PlannedStage, ...]]:
        """Students of a row, each a chain of stages."""
        spec = self.recipe.rows[row]
        return rows.members(self.recipe, row, spec, self.task, lambda names: best_by_dev(names, self.dev))

    def student(self, chain: tuple[PlannedStage, ...], seed: int) -> Student:
        """Student of a chain of stages; one that an earlier row has made is taken again."""
        key = chain_key(chain, seed)
        if key not in self.students:
            self.students[key] = self._trained(chain, seed, key)
        return self.students[key]

    def _trained(self, chain: tuple[PlannedStage, ...], seed: int, key: str, most: int | None = None) -> Student:
        """Train the last stage of a chain, on its corpus's first `most` pairs."""
        planned, spec = chain[-1], chain[0].student
        stage, golden = planned.stage, planned.stage.alpha < 1
        fit_spec = _unsaved(stage.fit if golden or self.rate is None else _at_rate(stage.fit, self.rate))
        set_name = "train" if "/" in planned.corpus else planned.corpus
        pairs = self.sets[set_name].first(most)
        soft = [self.logits[set_name][teacher][: len(pairs)] for teacher in planned.teachers]
        named = [Header(f"{self.task}/{teacher}", self.digests[teacher]) for teacher in planned.teachers]
        if stage.average:
            digest = digest_bytes("".join(self.digests[teacher] for teacher in planned.teachers).encode())
            soft, named = [np.mean(soft, axis=0)], [Header(f"{self.task}/mean", digest)]
        headers = [Header(f"{self.task}/gold", None)] * golden + named
        if len(chain) > 1:
            model = self.student(chain[:-1], seed).with_headers(self.labels, headers, seed)
        else:
            model = Student.start(self.base, spec.layers, spec.pool, self.labels, headers, spec.max_length, seed)
            if spec.fresh_pooler is True:
                fresh_pooler(model.encoder, seed)
        dev = self.sets["dev"]
        report = fit(
            model,
            lambda network, inputs: network(**inputs).header_logits,
            Examples(
                pairs.tokens,
                pairs.labels if golden else np.full(len(pairs), -1),
                self.tokenizer.settings.pad_id,
                np.stack(soft, axis=1) if soft else None,
            ),
            Training(fit_spec, stage.alpha, seed, self.hardware),
            work=self.work / key.replace(" ", "-"),
            dev=(lambda: accuracy(self._student_scores(model, dev), dev.labels)) if golden else None,
            title=f"{planned.corpus} {', '.join(header.name for header in headers)}",
        )
        speed = len(pairs) * fit_spec.epochs / report.seconds
        facts = {"corpus": planned.corpus, "pairs": len(pairs), "learning_rate": fit_spec.learning_rate}
        facts["pairs_per_second"] = speed
        self.fits[key] = {**facts, **asdict(report)}
        return model

    def choose_rate(self, rates: Sequence[float], row: str, pairs: int) -> None:
        """Set the rate of all first stages: the one with the least cross-entropy on dev after some of the pairs."""
        dev, tried = self.sets["dev"], {}
        chain, *_ = self.members(row)
        for rate in rates:
            self.rate = rate
            student = self._trained(chain[:1], 1, f"rate {rate}", pairs)
            found = self._student_scores(student, dev)  # log-probabilities
            tried[rate] = -float(found[np.arange(len(dev)), dev.labels].mean())
        self.rate = min(tried, key=lambda rate: tried[rate])
        self.report["rates"] = {"dev_cross_entropy": tried, "pairs": pairs, "chosen": self.rate}

    def _student_scores(self, student: Student, pairs: PairSet) -> np.ndarray:
        place(student, self.hardware.device)
        student.train(False)
        return self._scores(student, lambda network, inputs: network(**inputs).logits, pairs)

    def _scores(self, network: nn.Module, forward: HeaderLogits, pairs: PairSet) -> np.ndarray:
        device, precision = self.hardware.device, self.hardware.precision
        return network_logits(network, forward, pairs.tokens, self.tokenizer.settings.pad_id, device, precision)

    def _judged(self, row: str, seed: int, probabilities: dict[str, np.ndarray]) -> dict[str, Any]:
        """Measures of a row on each test set; its probabilities of the positive class are kept."""
        measures: dict[str, Any] = {}
        for name, found in probabilities.items():
            pairs, positive = self.sets[name], found[:, self.labels.positive_index]
            right = pairs.labels == self.labels.positive_index
            measures[name] = {"accuracy": accuracy(found, pairs.labels), "auc": auc(positive, right)}
            measures[name] |= asdict(ranking(positive, right, pairs.groups.astype(str)))
            self.probabilities[f"{row}.{seed}.{name}"] = positive.astype(np.float16)
        return measures

    def write(self, **facts: Any) -> None:
        """Write report.json and probabilities.npz anew."""
        self.out.mkdir(parents=True, exist_ok=True)
        write_atomic(self.out / "report.json", json_bytes({**facts, **self.report}))
        with tempfile.NamedTemporaryFile(dir=self.work) as file:
            np.savez_compressed(file, **self.probabilities)  # type: ignore[arg-type]
            write_atomic(self.out / "probabilities.npz", Path(file.name).read_bytes())

    def write_logits(self, corpus: str) -> None:
        """Write the teachers' logits of a corpus, float16 (pairs, classes) by teacher, in the order of its pairs."""
        arrays = {name: found.astype(np.float16) for name, found in self.logits[corpus].items()}
        np.savez_compressed(self.out / f"{corpus}_logits.npz", **arrays)  # type: ignore[arg-type]


def _unsaved(settings: FitSpec) -> FitSpec:
    return settings.model_copy(update={"checkpoint_steps": NEVER})


def _at_rate(settings: FitSpec, rate: float) -> FitSpec:
    return settings.model_copy(update={"learning_rate": rate})


def main() -> None:
    """Read the options, train and measure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("recipe", type=Path)
    options.add_argument("--inputs", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--rows", nargs="+", default=list(ROWS))
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options.add_argument("--seconds", type=float, default=330.0, help="no row starts that would end later")
    options.add_argument("--rates", type=float, nargs="*", default=[1e-4, 3e-4, 1e-3], help="of stage 1, tried on dev")
    options.add_argument("--rate-pairs", type=int, default=200_000, help="pairs on which they are tried")
    options.add_argument("--set", dest="changes", action="append", default=[], help="a change of the recipe")
    given = options.parse_args()
    begun = time.perf_counter()
    recipe = read_recipe(given.recipe, given.changes)
    hardware = pick_hardware(recipe.device, recipe.precision)
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if hardware.device == "cuda" else machine_line(),
        "precision": hardware.precision,
        "torch": torch.__version__,
        "transformers": transformers_version,
        "recipe": recipe.model_dump(mode="json", include={"name", "teachers", "student", "rows"}),
    }
    with tempfile.TemporaryDirectory() as work:
        study = Study(recipe, given.inputs, Path(work), given.out, hardware)
        sizes = {name: len(pairs) for name, pairs in study.sets.items()}

        def done(what: str, tests: Mapping[str, Mapping[str, Any]]) -> None:
            seconds = time.perf_counter() - begun
            study.write(**facts, pairs=sizes, seconds=seconds)
            accuracies = ", ".join(f"{name} {measures['accuracy']:.4f}" for name, measures in tests.items())
            print(f"{seconds:6.1f} s  {what:24} {accuracies}", flush=True)

        done("inputs read", {})
        for name, spec in recipe.teachers.items():
            study.teach(name, spec)
            done(f"teacher {name}", study.report["teachers"][name]["tests"])
        (corpus,) = recipe.collect
        study.write_logits(corpus)
        if given.rates:
            study.choose_rate(given.rates, given.rows[0], given.rate_pairs)
            done(f"rate {study.rate}", {})
        for seed in given.seeds:
            for row in given.rows:
                if time.perf_counter() - begun + study.expected(row) > given.seconds:
                    print(f"no time is left for {row}, seed {seed}", flush=True)
                    continue
                study.row(row, seed)
                done(f"{row}, seed {seed}", study.report["rows"][row][str(seed)]["tests"])
                if (row, seed) == (given.rows[0], given.seeds[0]):
                    chain, *_ = study.members(row)
                    write_pieces(study.student(chain, seed), study.base, given.out)


if __name__ == "__main__":
    main()
