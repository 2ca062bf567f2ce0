"""Results of every row from its predictions: measures on each test set, accuracy on dev, comparisons (§4)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tmkd.flow.evaluate import BUNDLE, PROBABILITIES, bundle_scorer, student_scorer, teacher_scorer
from tmkd.flow.measured import Measured
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.yardsticks import yardstick_scorer
from tmkd.metrics.learned import class_signs, loss_sign
from tmkd.metrics.quality import accuracy, softmax
from tmkd.store import read_manifest, sealed, verify

if TYPE_CHECKING:
    from tmkd.evaluate.comparisons import Comparison
    from tmkd.evaluate.measures import LabelledSet, Probabilities
    from tmkd.evaluate.results import Result
    from tmkd.evaluate.scorers import Scorer

    Predicted = Mapping[Measured, Mapping[str, Probabilities]]  # row → split → float64 (pairs, classes)
    PredictedBy = Predicted | Mapping[Result, Mapping[str, Probabilities]]  # a result stands for its row and seeds
    Tests = Mapping[str, Sequence[LabelledSet]]  # task → its test sets, in order


def members(run: RunFolder, row: Measured) -> tuple[Scorer, ...]:
    """Models of a row, checked byte by byte."""
    run.bring(*row.models)
    for model in row.models:
        verify(model)
    if row.kind == "yardstick":
        return (yardstick_scorer(run, row.task, row.row, next(iter(row.pretrained), None)),)
    if row.kind == "bundle":
        parameters = sealed(run.predictions_folder(row.task, BUNDLE)).facts["parameters"]
        return (bundle_scorer(run, row.row, parameters),)
    if row.teachers:
        return tuple(teacher_scorer(run, one, one.name) for one in row.teachers)
    return tuple(student_scorer(run, model, model.name) for model in row.models)


def labelled_sets(run: RunFolder) -> Tests:
    """The test sets of each task."""
    from tmkd.evaluate.measures import LabelledSet

    return {
        task: [LabelledSet.of(split, run.labels(task), run.corpus(f"{task}/{split}").table()) for split in entry.tests]
        for task, entry in run.recipe.tasks.items()
    }


def predictions(run: RunFolder, rows: Sequence[Measured]) -> Predicted:
    """Stored probabilities of each row on its task's test sets: the mean of its members' (Eq. 6 is inside each)."""
    return {
        row: {
            split: np.mean([_stored(run, row.task, key, split) for key in row.keys], axis=0)
            for split in run.recipe.tasks[row.task].tests
        }
        for row in rows
    }


def _stored(run: RunFolder, task: str, key: str, split: str) -> Probabilities:
    from safetensors.numpy import load_file

    folder = run.predictions_folder(task, key)
    run.bring(folder)
    found: Probabilities = load_file(folder / f"{split}.safetensors")[PROBABILITIES]
    return found


def measured_on(row: Measured, probabilities: Probabilities, test: LabelledSet) -> dict[str, Any]:
    """Fields of a `Result` that a row's probabilities on one test set decide: its measures, its warnings."""
    from tmkd.evaluate.measures import measure

    signs = [] if row.kind == "yardstick" else class_signs(probabilities, test.labels, test.names)
    return {**measure(probabilities, test), "warnings": tuple(f"{test.split}: {sign}" for sign in signs)}


def results(
    run: RunFolder, predicted: Predicted, tests: Tests, speeds: Mapping[tuple[str, tuple[str, ...]], Any]
) -> list[Result]:
    """Results of every row on every test set of its task; `speeds` are by (task, keys), of rows that are timed."""
    from tmkd.evaluate.results import Result

    found = []
    for row, by_split in predicted.items():
        losses = [sealed(folder).facts.get("losses", ()) for folder in row.made_by]
        trained = tuple(sign for sign in map(loss_sign, losses) if sign is not None)
        manifests = [sealed(run.predictions_folder(row.task, key)) for key in row.keys]
        dev, speed = dev_accuracy(run, row), speeds.get((row.task, row.keys))
        for test in tests[row.task]:
            fields = measured_on(row, by_split[test.split], test)
            fields["seen"] = seen(run, row, test.split)
            fields["warnings"] = (*trained, *fields["warnings"])
            trained = ()  # reported once
            found.append(
                Result(
                    row=row.row,
                    kind=row.kind,
                    task=row.task,
                    split=test.split,
                    parameters=sum(manifest.facts["parameters"] for manifest in manifests),
                    bytes=sum(manifest.facts["bytes"] for manifest in manifests),
                    pairs_per_second=None if speed is None else speed.pairs_per_second,
                    seed=row.seed,
                    teachers_seed=row.teachers_seed,
                    seconds_to_make=round(sum(sealed(folder).seconds for folder in row.made_by), 1),
                    dev=dev,
                    **fields,
                )
            )
    return found


def seen(run: RunFolder, row: Measured, split: str) -> tuple[str, ...]:
    """Pretrained models of a row that the recipe says were trained on the source of a test set of its task."""
    known = run.recipe.pretrained
    of = {row.task, f"{row.task}/{split}"}
    return tuple(name for name in row.pretrained if name in known and not of.isdisjoint(known[name].seen))


def dev_accuracy(run: RunFolder, row: Measured) -> float | None:
    """Accuracy of a teacher, an ensemble or a student on its task's dev set; None for all else.

    A student's is that of the epoch kept; one that was trained without dev or kept by cross-entropy, or is the mean of
    several, is scored here.
    """
    if row.kind in ("yardstick", "bundle"):
        return None
    if row.teachers:
        return _teachers_dev(run, row)
    manifest = sealed(row.models[0])
    facts, by = manifest.facts, manifest.settings["stage"]["fit"].get("keep", "accuracy")
    if len(row.models) == 1 and by == "accuracy" and facts.get("dev") and facts["best_epoch"] > 0:
        return float(facts["dev"][facts["best_epoch"] - 1])
    from tmkd.evaluate.scorers import MeanScorer

    dev = run.corpus(f"{row.task}/dev")
    table = dev.table()
    print(f"measuring {row.row} on {table.num_rows} dev pairs", file=sys.stderr)
    scorer = MeanScorer(row.row, members(run, row))
    probabilities = scorer.probabilities(table["question"].to_pylist(), table["passage"].to_pylist())
    return accuracy(probabilities, dev.label_array())


def _teachers_dev(run: RunFolder, row: Measured) -> float | None:
    """Accuracy of the mean of teachers on the dev pairs that all of them have scored; None where they scored none."""
    from tmkd.data.softlabels import SoftLabels, TeacherColumn

    corpus = f"{row.task}/dev"
    columns = [
        TeacherColumn(one.name, sealed(made).digest, run.soft_folder(corpus, one.name))
        for one, made in zip(row.teachers, row.models, strict=True)
    ]
    if any(read_manifest(column.folder) is None for column in columns):
        return None
    dev = run.corpus(corpus)
    soft = SoftLabels.load(dev, columns)
    known = soft.complete
    if not known.any():
        return None
    shares = np.mean([softmax(soft.logits[known, place]) for place in range(len(row.teachers))], axis=0)
    return accuracy(shares, dev.label_array()[known])


def comparisons(predicted: PredictedBy, tests: Tests, measured: Sequence[Result]) -> list[Comparison]:
    """Differences of rows with intervals, task by task; the best teacher is the best by dev."""
    from tmkd.evaluate.comparisons import by_row, compare
    from tmkd.evaluate.results import best_teacher, lines, ranked_split

    found = []
    for task, sets in tests.items():
        own_rows = [(row, by_split) for row, by_split in predicted.items() if row.task == task]
        own = [one for one in measured if one.task == task]
        teacher, ranked = best_teacher(lines(own)), ranked_split(own)
        found += compare(
            by_row(own_rows),
            tuple(dict.fromkeys(row.row for row, _ in own_rows if row.kind == "student")),
            None if teacher is None else teacher.row,
            sets[0],
            next((test for test in sets if test.split == ranked), None),
        )
    return found
