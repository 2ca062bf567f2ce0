"""Fragments of a study's results, as `tmkd run` leaves them: `tmkd report` joins them, stage 1 imports its teachers.

    python -m benchmarks.gpu.fragments recipes/webqa_gpu.yaml --run runs/webqa_gpu --results FOLDER \
        --out results/study --date 2026-11-27 --commit HASH

Made where the corpora of `benchmarks.gpu.pack` lie: the study itself knows no pair's digest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tmkd.data.logit_fragment import write_logits
from tmkd.evaluate.measures import LabelledSet, Probabilities, measure
from tmkd.evaluate.results import Kind, Result
from tmkd.evaluate.scorers import parameters
from tmkd.flow.checkout import NO_COMMIT
from tmkd.flow.fragments import pairs_digest
from tmkd.flow.measure import labelled_sets
from tmkd.flow.run_folder import RunFolder
from tmkd.network import Student
from tmkd.network.headers import Header
from tmkd.recipe.reader import read_recipe
from tmkd.report.row_fragment import Origin, RowFragment, write_row
from tmkd.store import digest_bytes, digest_json
from tmkd.teachers.network import open_model

_BYTES = 4  # of a parameter


class Results:
    """Results of a study beside the corpora that it was made from."""

    def __init__(self, run: RunFolder, folder: Path, date: str, commit: str) -> None:
        self.run, self.folder = run, folder
        ((self.task, self.tests),) = labelled_sets(run).items()
        self.report: dict[str, Any] = json.loads((folder / "report.json").read_bytes())
        with np.load(folder / "probabilities.npz", allow_pickle=False) as file:
            self.probabilities: dict[str, np.ndarray] = dict(file)
        versions = {name: self.report[name] for name in ("torch", "transformers")}
        self.origin = Origin(self.report["device"], date, commit, versions)
        base = run.pretrained(run.recipe.student.base).path
        labels, spec = run.labels(self.task), run.recipe.student
        headers = [Header(f"{self.task}/{name}", None) for name in ("gold", *self.report["teachers"])]
        student = Student.start(base, spec.layers, spec.pool, labels, headers, spec.max_length, 1)
        teacher = open_model(base, "teacher", num_labels=len(labels.names))
        self.sizes: dict[Kind, int] = {"student": parameters(student), "teacher": parameters(teacher)}

    def rows(self) -> Iterator[tuple[RowFragment, Mapping[str, tuple[LabelledSet, Probabilities]]]]:
        """Fragments of all teachers and rows that are finished."""
        for name, found in self.report["teachers"].items():
            seed = self.report["recipe"]["teachers"][name]["seed"]
            yield self._row("teacher", name, seed, found, f"{name}.0")
        for row, seeds in self.report["rows"].items():
            for seed, found in seeds.items():
                yield self._row("student", row, int(seed), found, f"{row}.{seed}")

    def _row(
        self, kind: Kind, name: str, seed: int, found: Mapping[str, Any], stem: str
    ) -> tuple[RowFragment, Mapping[str, tuple[LabelledSet, Probabilities]]]:
        tested: dict[str, tuple[LabelledSet, Probabilities]] = {}
        results = []
        for test in self.tests:
            positive = self.probabilities[f"{stem}.{test.split}"]
            both = np.empty((len(positive), 2))
            both[:, test.positive], both[:, 1 - test.positive] = positive, 1 - positive.astype(np.float64)
            tested[test.split] = test, both
            size = self.sizes[kind] * self._members(kind, name)
            results.append(
                Result(
                    row=name,
                    kind=kind,
                    task=self.task,
                    split=test.split,
                    parameters=size,
                    bytes=_BYTES * size,
                    pairs_per_second=None,
                    seed=seed,
                    seconds_to_make=round(found["seconds"], 1),
                    dev=found["dev"]["accuracy"],
                    **measure(both, test),
                )
            )
        fragment = RowFragment(
            run=self.report["recipe"]["name"],
            place=list(self.report["recipe"][f"{'rows' if kind == 'student' else 'teachers'}"]).index(name),
            results=tuple(results),
            speed=None,
            origin=self.origin,
            recipe=self._recipe() | {f"settings of {name}": digest_json(found["setting"])[:16]},
            classes=self.tests[0].names,
            positive=self.tests[0].positive,
            tests={test.split: pairs_digest(self.run.corpus(f"{self.task}/{test.split}")) for test in self.tests},
            made_of=tuple(digest_bytes(self.probabilities[f"{stem}.{test.split}"].tobytes()) for test in self.tests),
        )
        return fragment, tested

    def _members(self, kind: Kind, name: str) -> int:
        """Number of models that a row is the mean of."""
        recipe = self.report["recipe"]
        return len(recipe["teachers"]) if kind == "student" and recipe["rows"][name]["each_teacher"] else 1

    def _recipe(self) -> dict[str, str]:
        """Digests of what all rows have in common: the recipe, the pairs, the rate of stage 1."""
        parts = {**self.report["recipe"], "pairs": self.report["pairs"], "rates": self.report["rates"]}
        return {name: digest_json(part)[:16] for name, part in parts.items() if name != "name"}

    def write(self, out: Path) -> int:
        """Write all fragments, and those of the teachers' logits of the stage-1 pairs; returns their number."""
        paths = [write_row(out, row, tested) for row, tested in self.rows()]
        (corpus,) = self.run.recipe.collect
        with np.load(self.folder / f"{corpus}_logits.npz", allow_pickle=False) as file:
            for name in file.files:
                logits = file[name]
                ids = self.run.corpus(corpus).id_array()[: len(logits)]
                facts = {"machine": self.origin.machine, "date": self.origin.date, "commit": self.origin.commit}
                paths.append(write_logits(out, name, self.run.labels(self.task), {corpus: (ids, logits)}, facts))
        return len(paths)


def main() -> None:
    """Read the options and write the fragments."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("recipe", type=Path)
    options.add_argument("--run", type=Path, required=True, help="the run folder whose corpora were packed")
    options.add_argument("--results", type=Path, required=True, help="what the study wrote")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--date", required=True)
    options.add_argument("--commit", default=NO_COMMIT, help="that the study was run from")
    given = options.parse_args()
    run = RunFolder(read_recipe(given.recipe), given.recipe.resolve().parent, given.run)
    count = Results(run, given.results, given.date, given.commit).write(given.out)
    print(f"{count} fragments in {given.out}")


if __name__ == "__main__":
    main()
