"""Teachers and students of a recipe, trained from packed inputs.

What several processes need of them lies in a folder that they share.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.inputs import PairSet, read_pairs
from benchmarks.gpu.pieces import write_pieces
from benchmarks.settings_rule import Setting, Tried, tries
from torch import nn

from tmkd.data.labels import LabelSet
from tmkd.data.text import PairTokenizer
from tmkd.distill import rows
from tmkd.distill.rows import PlannedStage, best_by_dev, chain_key
from tmkd.metrics.quality import accuracy, auc, cross_entropy, ranking, softmax
from tmkd.network import Student
from tmkd.network.device import place
from tmkd.network.encoder import fresh_pooler
from tmkd.network.headers import Header
from tmkd.network.scoring import network_logits
from tmkd.recipe.fit import FitSpec
from tmkd.recipe.schema import Recipe
from tmkd.store import digest_bytes, json_bytes, write_atomic
from tmkd.teachers.network import forward, open_model
from tmkd.train.batches import Examples
from tmkd.train.hardware import Hardware
from tmkd.train.loop import FitReport, fit
from tmkd.train.trainer import HeaderLogits, Training

NEVER = 10**9  # checkpoints: a study is not resumed
START = "start"  # folder of the start weights


class Models:
    """Trained models of a recipe: teachers' logits of every set, students by their chain of stages and seed.

    `shared` has the start weights, and is where processes find what others have trained.
    """

    def __init__(self, recipe: Recipe, inputs: Path, shared: Path, hardware: Hardware) -> None:
        ((self.task, task),) = recipe.tasks.items()
        self.recipe, self.shared, self.hardware = recipe, shared, hardware
        self.labels = LabelSet(self.task, task.labels, task.positive)
        self.tests = tuple(task.tests)
        self.base = shared / START
        self.tokenizer = PairTokenizer.load(self.base, recipe.student.max_length)
        self.sets = read_pairs(inputs, self.tokenizer)

    @cached_property
    def teachers(self) -> dict[str, dict[str, np.ndarray]]:
        """Logits by teacher and set; asked for when all teachers are trained."""
        return {name: dict(np.load(self.shared / f"{name}.npz")) for name in self.recipe.teachers}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of each teacher's logits, which its headers carry."""
        return {
            name: digest_bytes(b"".join(array.tobytes() for array in logits.values()))
            for name, logits in self.teachers.items()
        }

    @cached_property
    def dev_accuracies(self) -> dict[str, float]:
        """Accuracy of each teacher on dev."""
        return {name: accuracy(softmax(found["dev"]), self.sets["dev"].labels) for name, found in self.teachers.items()}

    def try_teacher(self, name: str, setting: Setting) -> list[Tried]:
        """Fits of a teacher with one setting, by the rule."""
        return tries(lambda setting, epochs: _costs(self._taught(name, {**setting, "epochs": epochs})[1]), setting)

    def teach(self, name: str, setting: Setting) -> dict[str, Any]:
        """Train a teacher on golden labels, as `tmkd teach` does, and score every set with it."""
        begun = time.perf_counter()
        model, report = self._taught(name, setting)
        trained = time.perf_counter()
        logits = {of: self._scores(model, forward, pairs) for of, pairs in self.sets.items()}
        seconds = time.perf_counter() - trained
        np.savez(self.shared / f"{name}.npz", **logits)  # type: ignore[arg-type]
        facts = {"setting": setting, "fit": asdict(report), "seconds": trained - begun}
        facts["pairs_scored_per_second"] = sum(map(len, self.sets.values())) / seconds
        return facts | self._judged({of: softmax(logits[of]) for of in (*self.tests, "dev")})

    def try_rate(self, row: str, rate: float, pairs: int) -> float:
        """Cross-entropy on dev after a row's first stage on some of its pairs."""
        chain = self._members(row, {}, rate)[0][:1]
        return self._cross_entropy(self._fitted(chain, 1, pairs)[0])

    def try_row(self, row: str, setting: Setting, rate: float | None) -> list[Tried]:
        """Fits of a row's last stage (of its first student, seed 1) with one setting, by the rule."""

        def fitted(setting: Setting, epochs: int) -> Sequence[float]:
            return _costs(self._fitted(self._members(row, {**setting, "epochs": epochs}, rate)[0], 1)[1])

        return tries(fitted, setting)

    def train(self, row: str, seed: int, setting: Setting, rate: float | None, pieces: Path | None) -> dict[str, Any]:
        """Train a row's students, as `tmkd distill` does, and measure them; `pieces` is where the first one goes."""
        begun = time.perf_counter()
        chains = self._members(row, setting, rate)
        students = [self.student(chain, seed) for chain in chains]
        seconds = time.perf_counter() - begun
        if pieces is not None:
            write_pieces(students[0], self.base, pieces)
        found = {
            of: np.mean([softmax(self._student_scores(student, self.sets[of])) for student in students], axis=0)
            for of in (*self.tests, "dev")
        }
        fits = [self._facts(chain[:depth], seed) for chain in chains for depth in range(1, len(chain) + 1)]
        return {"setting": setting, "seconds": seconds, "fits": fits} | self._judged(found)

    def student(self, chain: tuple[PlannedStage, ...], seed: int) -> Student:
        """Student of a chain of stages; one that a process has made is not made again."""
        folder = self.shared / chain_key(chain, seed)
        with _locked(folder.with_suffix(".lock")):
            if not (folder / "fit.json").exists():
                model, report = self._fitted(chain, seed)
                model.to("cpu").save(folder, self.base)
                planned = chain[-1]
                facts = {"corpus": planned.corpus, "learning_rate": planned.stage.fit.learning_rate}
                write_atomic(folder / "fit.json", json_bytes(facts | asdict(report)))
        return Student.from_pretrained(folder)

    def _facts(self, chain: tuple[PlannedStage, ...], seed: int) -> Any:
        return json.loads((self.shared / chain_key(chain, seed) / "fit.json").read_bytes())

    def _members(self, row: str, setting: Setting, rate: float | None) -> list[tuple[PlannedStage, ...]]:
        """Chains of a row: golden stages with this setting, the others with this rate (None: the recipe's)."""
        first = {} if rate is None else {"learning_rate": rate}

        def best(names: tuple[str, ...]) -> str:
            return best_by_dev(names, self.dev_accuracies)

        def changed(planned: PlannedStage) -> PlannedStage:
            fit = planned.stage.fit.model_copy(update=dict(setting if planned.stage.alpha < 1 else first))
            return replace(planned, stage=planned.stage.model_copy(update={"fit": fit}))

        chains = rows.members(self.recipe, row, self.recipe.rows[row], self.task, best)
        return [tuple(map(changed, chain)) for chain in chains]

    def _taught(self, name: str, setting: Setting) -> tuple[nn.Module, FitReport]:
        spec, train, dev = self.recipe.teachers[name], self.sets["train"], self.sets["dev"]
        torch.manual_seed(spec.seed)
        model = open_model(self.base, name, num_labels=len(self.labels.names))
        model.config.pad_token_id = self.tokenizer.settings.pad_id
        if spec.fresh_pooler is True:
            fresh_pooler(model.base_model, spec.seed)
        report = fit(
            model,
            lambda network, inputs: forward(network, inputs).unsqueeze(1),
            Examples(train.tokens, train.labels, self.tokenizer.settings.pad_id),
            Training(_unsaved(spec.fit, setting), 0.0, spec.seed, self.hardware),
            work=self._place(),
            dev=lambda: -cross_entropy(self._scores(model, forward, dev), dev.labels),
            title=f"teach {name}",
        )
        return model, report

    def _fitted(self, chain: tuple[PlannedStage, ...], seed: int, most: int | None = None) -> tuple[Student, FitReport]:
        """Train the last stage of a chain, on its corpus's first `most` pairs."""
        planned, spec = chain[-1], chain[0].student
        stage, golden = planned.stage, planned.stage.alpha < 1
        of = _set_of(planned.corpus)
        pairs = self.sets[of].first(most)
        steps = planned.steps(lambda corpus: len(self.sets[_set_of(corpus)])) if planned.counted else None
        soft = [self.teachers[teacher][of][: len(pairs)] for teacher in planned.teachers]
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
        report = fit(
            model,
            lambda network, inputs: network(**inputs).header_logits,
            Examples(
                pairs.tokens,
                pairs.labels if golden else np.full(len(pairs), -1),
                self.tokenizer.settings.pad_id,
                np.stack(soft, axis=1) if soft else None,
            ),
            Training(_unsaved(stage.fit, {}), stage.alpha, seed, self.hardware, steps=steps),
            work=self._place(),
            dev=(lambda: -self._cross_entropy(model)) if golden else None,
            title=f"{planned.corpus} {', '.join(header.name for header in headers)}",
        )
        return model, report

    def _place(self) -> Path:
        """A new folder for a fit's weights."""
        return self.shared / f"fit-{time.monotonic_ns()}-{os.getpid()}"

    def _cross_entropy(self, student: Student) -> float:
        dev = self.sets["dev"]
        return cross_entropy(self._student_scores(student, dev), dev.labels)

    def _student_scores(self, student: Student, pairs: PairSet) -> np.ndarray:
        place(student, self.hardware.device)
        student.train(False)
        return self._scores(student, lambda network, inputs: network(**inputs).logits, pairs)

    def _scores(self, network: nn.Module, forward: HeaderLogits, pairs: PairSet) -> np.ndarray:
        device, precision = self.hardware.device, self.hardware.precision
        return network_logits(network, forward, pairs.tokens, self.tokenizer.settings.pad_id, device, precision)

    def _judged(self, found: dict[str, np.ndarray]) -> dict[str, Any]:
        """Measures by set, and probabilities (float32) of the positive class by test set."""
        measures: dict[str, Any] = {}
        for name, probabilities in found.items():
            pairs, positive = self.sets[name], probabilities[:, self.labels.positive_index]
            right = pairs.labels == self.labels.positive_index
            measures[name] = {"accuracy": accuracy(probabilities, pairs.labels), "auc": auc(positive, right)}
            measures[name]["cross_entropy"] = cross_entropy(np.log(probabilities + 1e-12), pairs.labels)
            measures[name] |= asdict(ranking(positive, right, pairs.groups.astype(str)))
        dev = measures.pop("dev")
        kept = {of: found[of][:, self.labels.positive_index].astype(np.float32) for of in self.tests}
        return {"dev": dev, "tests": measures, "probabilities": kept}


def _set_of(corpus: str) -> str:
    """Name among the packed sets of a stage's corpus."""
    return "train" if "/" in corpus else corpus


def _unsaved(settings: FitSpec, setting: Setting) -> FitSpec:
    return settings.model_copy(update={**setting, "checkpoint_steps": NEVER})


def _costs(report: FitReport) -> list[float]:
    """Cross-entropy on dev after each epoch, of a fit whose dev score is its negative."""
    return [-score for score in report.dev]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
