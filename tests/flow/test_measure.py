"""Accuracy of rows on dev, and results from stored predictions, in the tiny world."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import tiny
from tiny import World
from tmkd.data.softlabels import SoftLabels
from tmkd.evaluate.scorers import MeanScorer
from tmkd.flow.measure import dev_accuracy, labelled_sets, members, predictions
from tmkd.flow.measured import Measured, measured_rows
from tmkd.flow.run_folder import RunFolder
from tmkd.metrics.quality import accuracy, softmax
from tmkd.store import sealed


@pytest.fixture(scope="module")
def run(finished_world: World) -> RunFolder:
    return tiny.opened(finished_world)


@pytest.fixture(scope="module")
def rows(run: RunFolder) -> dict[str, Measured]:
    return {row.row: row for row in measured_rows(run)}


def scored(run: RunFolder, row: Measured) -> float:
    """Accuracy of a row's models on dev, scored anew."""
    dev = run.corpus("toy/dev")
    table = dev.table()
    texts = table["question"].to_pylist(), table["passage"].to_pylist()
    return accuracy(MeanScorer(row.row, members(run, row)).probabilities(*texts), dev.label_array())


@pytest.mark.parametrize("row", [*tiny.TEACHERS, "ensemble", *tiny.ROWS])
def test_the_accuracy_on_dev_is_that_of_the_rows_models(run: RunFolder, rows: dict[str, Measured], row: str) -> None:
    assert dev_accuracy(run, rows[row]) == pytest.approx(scored(run, rows[row]))


def test_a_teachers_is_the_one_that_best_goes_by(run: RunFolder, rows: dict[str, Measured]) -> None:
    for name in tiny.TEACHERS:
        assert dev_accuracy(run, rows[name]) == sealed(run.soft_folder("toy/dev", name)).facts["accuracy"]
    dev = run.corpus("toy/dev")
    soft = SoftLabels.load(dev, [run.column("toy/dev", name) for name in tiny.TEACHERS])
    mean = np.mean([softmax(soft.logits[:, place]) for place in range(2)], axis=0)
    assert dev_accuracy(run, rows["ensemble"]) == accuracy(mean, dev.label_array())


def test_a_single_students_is_that_of_the_epoch_kept_and_needs_no_scoring(
    run: RunFolder, rows: dict[str, Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("tmkd.flow.measure.members")
    facts = sealed(rows["tmkd"].models[0]).facts
    assert dev_accuracy(run, rows["tmkd"]) == facts["dev"][facts["best_epoch"] - 1]


def test_a_student_of_stage_1_alone_is_scored(run: RunFolder, rows: dict[str, Measured]) -> None:
    first = rows["tmkd"].made_by[0]  # the student after stage 1, which no dev set has judged
    assert sealed(first).facts["dev"] == []
    alone = replace(rows["tmkd"], models=(first,))
    assert dev_accuracy(run, alone) == pytest.approx(scored(run, alone))


def test_a_student_kept_by_cross_entropy_is_scored(
    run: RunFolder, rows: dict[str, Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = rows["tmkd"]
    kept = sealed(row.models[0])
    fit = {**kept.settings["stage"]["fit"], "keep": "cross_entropy"}
    other = replace(
        kept,
        settings={**kept.settings, "stage": {**kept.settings["stage"], "fit": fit}},
        facts={**kept.facts, "dev": [-0.5], "best_epoch": 1},
    )
    monkeypatch.setattr("tmkd.flow.measure.sealed", lambda _: other)
    assert dev_accuracy(run, row) == pytest.approx(scored(run, row))


def test_yardsticks_have_none(run: RunFolder, rows: dict[str, Measured]) -> None:
    assert [dev_accuracy(run, rows[name]) for name in tiny.YARDSTICKS] == [None, None]


def test_predictions_are_in_the_order_of_the_test_set(run: RunFolder, rows: dict[str, Measured]) -> None:
    (test,) = labelled_sets(run)["toy"]
    assert test.labels.tolist() == run.corpus("toy/test").label_array().tolist()
    found = predictions(run, [rows["tmkd"]])[rows["tmkd"]]
    assert {split: one.shape for split, one in found.items()} == {"test": (12, 2)}
    report = json.loads((run.folder / "report.json").read_text())
    (told,) = [one for one in report["rows"] if one["row"] == "tmkd"]
    assert told["accuracy"] == accuracy(found["test"], test.labels)
