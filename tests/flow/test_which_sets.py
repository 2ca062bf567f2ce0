"""The class that a report measures and the set that chooses epochs: a run of three classes, the positive not last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

import tiny
from tiny import World
from tmkd.data.pairs import Corpus
from tmkd.network import Student
from tmkd.store import sealed

LABELS = ["no", "yes", "maybe"]
POSITIVE = 1
SPLITS = ("test", "more")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A teacher and a student of a task with two test sets."""
    world = World(tiny.write_world(tmp_path_factory.mktemp("three")))
    header = ("question", "passage", "label")
    for name, topics in (("train", range(18)), ("test", range(24, 30)), ("more", range(30, 40))):
        rows = [
            (tiny.question(topic), tiny.passage(at, good), LABELS[(at + good) % 3])
            for topic in topics
            for at in (topic, topic + 1)
            for good in (True, False)
        ]
        tiny.write_tsv(world.data / f"{name}.tsv", header, rows)
    # Three passages that no model can tell apart, for their words are unknown: just one of their labels is right.
    rows = [("what is the moon", word, label) for word, label in zip(("xxxx", "yyyy", "zzzz"), LABELS, strict=True)]
    rows += [(tiny.question(18), tiny.passage(18, good), "yes" if good else "no") for good in (True, False)]
    tiny.write_tsv(world.data / "dev.tsv", header, rows)
    fit = {**tiny.FIT, "epochs": 2}
    for key, value in {
        "tasks.toy.tests": {name: f"{name}.tsv" for name in SPLITS},
        "tasks.toy.labels": LABELS,
        "tasks.toy.positive": LABELS[POSITIVE],
        "collect": None,
        "teachers": {"t1": {"task": "toy", "base": "bert", "max_length": 48, "fit": fit}},
        "rows": {"mkd": {"stages": [{"alpha": 0.5, "fit": fit}]}},
    }.items():
        tiny.change(world.recipe, key, value)
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    return world


def auc(scores: npt.NDArray[Any], relevant: npt.NDArray[Any]) -> float:
    """Share of couples, one relevant and one not, that are in the right order; ties count half."""
    couples = [(one, other) for one in scores[relevant] for other in scores[~relevant]]
    return float(np.mean([0.5 if one == other else float(one > other) for one, other in couples]))


def mrr(scores: npt.NDArray[Any], relevant: npt.NDArray[Any], groups: Sequence[str]) -> float:
    """Mean over questions with a relevant passage of 1 / the place of the first one."""
    places = []
    for group in dict.fromkeys(groups):
        own = np.array([one == group for one in groups])
        ordered = relevant[own][np.argsort(-scores[own], kind="stable")]
        if ordered.any():
            places.append(1 / (1 + int(ordered.argmax())))
    return float(np.mean(places))


@pytest.mark.parametrize("row", ["t1", "mkd"])
def test_auc_and_mrr_are_of_the_positive_class(run: World, row: str) -> None:
    rows = json.loads((run.run / "report.json").read_text())["rows"]
    folders = {folder.name.startswith("teacher"): folder for folder in (run.run / "predictions" / "toy").iterdir()}
    told, aucs, mrrs = [one for one in rows if one["row"] == row], [], []
    for split, size in (("test", 24), ("more", 40)):
        probabilities = load_file(folders[row == "t1"] / f"{split}.safetensors")["probabilities"]
        pairs = Corpus.open(run.run / "pairs" / "toy" / split)
        labels, groups = pairs.label_array(), pairs.table()["group"].to_pylist()
        assert len(labels) == size
        aucs.append([auc(probabilities[:, kind], labels == kind) for kind in range(3)])
        mrrs.append([mrr(probabilities[:, kind], labels == kind, groups) for kind in range(3)])
        (accuracy,) = [one["accuracy"] for one in told if one["split"] == split]
        assert accuracy == (probabilities.argmax(axis=1) == labels).mean()
    for measure, found in (("auc", np.array(aucs)), ("mrr", np.array(mrrs))):
        assert [one[measure] for one in told] == pytest.approx(found[:, POSITIVE])
        for other in (0, 2):
            assert abs(found[:, other] - found[:, POSITIVE]).max() > 0.01


def test_a_teachers_epoch_is_chosen_on_dev(run: World) -> None:
    taught = sealed(run.run / "teachers" / "toy" / "t1").facts
    scored = sealed(run.run / "softlabels" / "toy" / "dev" / "t1").facts
    assert max(taught["dev"]) == taught["dev"][taught["best_epoch"] - 1] == scored["accuracy"]
    assert scored["accuracy"] in (1 / 5, 2 / 5, 3 / 5)  # no share of 24, 40 or 72 pairs


def test_a_students_epoch_is_chosen_on_dev(run: World) -> None:
    (folder,) = (run.run / "students").iterdir()
    made, dev = sealed(folder).facts, Corpus.open(run.run / "pairs" / "toy" / "dev")
    student = Student.from_pretrained(folder)
    table = dev.table()
    likely = student.predict_proba(list(zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True)))
    accuracy = (likely.argmax(axis=1) == dev.label_array()).mean()
    assert max(made["dev"]) == made["dev"][made["best_epoch"] - 1] == accuracy
    assert accuracy in (1 / 5, 2 / 5, 3 / 5)
