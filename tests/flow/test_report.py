"""What the report is made of: whose predictions a row is the mean of, what it took, what is said beside it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import tiny
from finished_steps import steps_made
from tiny import Call, World
from tmkd.bundle import Ranker
from tmkd.data.pairs import Corpus, pair_table, write_corpus
from tmkd.evaluate.scorers import Scorer
from tmkd.evaluate.speed import Speed
from tmkd.flow.best_teacher import best
from tmkd.flow.measured import measured_rows
from tmkd.flow.report import _speeds, report
from tmkd.flow.run_folder import RunFolder
from tmkd.metrics.quality import accuracy
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.schema import Recipe
from tmkd.report.report_json import read_report
from tmkd.store import read_manifest, write_manifest


def report_of(world: World) -> dict[str, Any]:
    return json.loads((world.run / "report.json").read_text())


TEXTS = {
    "test": (["q1", "q1", "q2", "q2", "q3"], [1, 0, 0, 1, 1]),  # q3 has nothing to be ranked against
    "more": (["q4", "q4"], [1, 0]),
}
LIKELY = {  # of yes
    "teacher-t1": {"test": [0.9, 0.2, 0.6, 0.3, 0.7], "more": [0.8, 0.1]},
    "teacher-t2": {"test": [0.4, 0.7, 0.1, 0.2, 0.4], "more": [0.3, 0.6]},
    "student": {"test": [0.9, 0.1, 0.2, 0.8, 0.6], "more": [0.2, 0.9]},
}
SPEED = Speed(100.0, 2, 1, 4, 1, 5.0, "fp32")


@pytest.fixture
def made_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run folder without any network: sets of a few pairs, probabilities, and what each step says of itself."""
    for module in ("measured", "report"):
        monkeypatch.setattr(f"tmkd.flow.{module}.yardsticks", lambda run, task: {})
    teacher = {"task": "toy", "base": "bert", "fresh_pooler": False}
    values = {
        "name": "hand",
        "tasks": {"toy": {"train": "-", "dev": "-", "tests": dict.fromkeys(TEXTS, "-")}},
        "teachers": {"t1": {**teacher, "seed": 7}, "t2": teacher},
        "student": {"base": "bert", "fresh_pooler": False},
        "rows": {"two": {"stages": [{"alpha": 0, "teachers": []}, {"alpha": 0, "teachers": [], "fit": {"epochs": 2}}]}},
        "seeds": [1, 2],
    }
    run = RunFolder(Recipe.model_validate(values), tmp_path, tmp_path / "run")
    for split, (questions, labels) in {**TEXTS, "train": (["a", "a"], [1, 0]), "dev": (["b"], [1])}.items():
        passages = [f"{split} {place}" for place in range(len(labels))]
        table = pair_table(questions, passages, labels, "-", questions)
        write_corpus(run.corpus_folder(f"toy/{split}"), run.labels("toy"), [table])
    write_manifest(run.corpus_artifact("toy"), "collect/toy", {}, {}, {"train": {"duplicates": 3}}, 1)
    for row in measured_rows(run):
        for place, folder in enumerate(row.made_by):
            folder.mkdir(parents=True, exist_ok=True)
            seconds = {"t1": 3, "t2": 5}.get(folder.name, 10 * place + row.seed)
            trained = {"dev": [0.5, 0.25], "best_epoch": 1} if row.kind == "student" else {}
            write_manifest(folder, "made", {}, {"stage": {"fit": {}}}, trained, seconds)
        for key in row.keys:
            folder = run.predictions_folder("toy", key)
            folder.mkdir(parents=True, exist_ok=True)
            for split, yes in LIKELY.get(key, LIKELY["student"]).items():
                both = np.array([[1 - p, p] for p in yes])
                (folder / f"{split}.safetensors").write_bytes(save({"probabilities": both}))
            size = {"teacher-t1": 10, "teacher-t2": 20}.get(key, 3)
            write_manifest(folder, "evaluate", {}, {}, {"parameters": size, "bytes": 4 * size}, 1)
    return run


def test_a_report_worked_by_hand(made_by_hand: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {
        ("toy", row.keys): replace(SPEED, pairs_per_second=float(place))
        for place, row in enumerate(measured_rows(made_by_hand))
    }
    monkeypatch.setattr("tmkd.flow.report._speeds", lambda run, rows: speeds)
    assert report(made_by_hand, tmp_path) == {"rows": 10}
    told = json.loads((tmp_path / "report.json").read_text())
    assert (told["name"], told["seeds"]) == ("hand", [1, 2])
    keys = ("row", "split", "accuracy", "auc", "mrr", "parameters", "bytes", "pairs_per_second", "seed")
    assert [[row[key] for key in keys] for row in told["rows"]] == [
        # Of 3 × 2 couples of test, t1 has 5 in the right order, t2 three, their mean four.
        ["t1", "test", 3 / 5, 5 / 6, 3 / 4, 10, 40, 0, 7],
        ["t1", "more", 1, 1, 1, 10, 40, 0, 7],
        ["t2", "test", 1 / 5, 3 / 6, 3 / 4, 20, 80, 1, 1],
        ["t2", "more", 0, 0, 1 / 2, 20, 80, 1, 1],
        ["ensemble", "test", 4 / 5, 4 / 6, 3 / 4, 30, 120, 2, 7],
        ["ensemble", "more", 1, 1, 1, 30, 120, 2, 7],
        *(
            row
            for seed, speed in ((1, 3), (2, 4))
            for row in (
                ["two", "test", 1, 1, 1, 3, 12, speed, seed],
                ["two", "more", 0, 0, 1 / 2, 3, 12, speed, seed],
            )
        ),
    ]
    # One relevant passage a question: AP is its reciprocal rank, DCG 1 / log2(1 + rank).
    assert [row["map"] for row in told["rows"]] == [row["mrr"] for row in told["rows"]]
    assert told["rows"][0]["ndcg_10"] == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert {(row["row"], row["seconds_to_make"]) for row in told["rows"]} == {
        ("t1", 3),
        ("t2", 5),
        ("ensemble", 8),
        ("two", 1 + 11),  # both stages of seed 1
        ("two", 2 + 12),
    }
    assert [one["name"] for one in told["data"]] == ["toy/train", "toy/dev", "toy/test", "toy/more"]
    assert {name: speed["pairs_per_second"] for name, speed in told["speeds"].items()} == {
        "t1": 0, "t2": 1, "ensemble": 2, "two": 4,
    }  # fmt: skip
    note, *warnings = told["notes"]
    assert note == "toy: train duplicates 3"
    assert {warning.partition(": it")[0] for warning in warnings} == {
        f"warning: toy × {row}" for row in ("t2: test", "t2: more", "ensemble: test", "two (seed 1): more")
    }
    assert [warning for warning in warnings if warning.endswith("[alike: seed 2: more]")] == [
        warning for warning in warnings if " two (seed 1)" in warning
    ]
    assert {(one["kind"], one["dev"]) for one in told["details"]} == {
        ("teacher", None), ("ensemble", None), ("student", 0.5),  # no teacher has scored dev
    }  # fmt: skip
    assert told["comparisons"] == told["shares"] == []
    for name in ("report.html", "report.md"):
        assert "hand" in (tmp_path / name).read_text()


def test_rows_of_the_papers_names_are_compared_and_have_shares(finished_world: World) -> None:
    told = report_of(finished_world)
    primary = [(one["row"], one["other"]) for one in told["comparisons"] if one["adjusted"] is not None]
    run = tiny.opened(finished_world)
    teacher = best(run.recipe, run.soft_folder, tiny.TEACHERS)
    assert primary == [
        ("tmkd", "bert-3"), ("tmkd", "1-o-1"), ("tmkd", "mkd"), ("tmkd", "tkd"), ("tkd", "1-o-1"), ("tmkd", teacher),
    ]  # fmt: skip
    accuracies = {row["row"]: row["accuracy"] for row in told["rows"]}
    for one in told["comparisons"]:
        if one["measure"] == "accuracy":
            assert one["value"] == pytest.approx(accuracies[one["row"]] - accuracies[one["other"]])
    assert [(one["row"], one["teacher"]) for one in told["shares"]] == [(row, teacher) for row in tiny.ROWS]


def test_the_bundle_is_the_last_row_and_timed_beside_the_teachers(finished: World, tmkd: Call) -> None:
    tiny.change(finished.recipe, "export", {"row": "tmkd", "force": True})
    said = tmkd("evaluate", finished.recipe, "--runs", finished.runs)
    assert steps_made(said) == ["export/bundle", "evaluate/toy/tmkd, bundle", "evaluate/report"]
    report = read_report(finished.run / "report" / "report.json")
    student, bundle = (next(one for one in report.results if one.row == row) for row in ("tmkd", "tmkd, bundle"))
    assert report.results[-1] == bundle
    assert (bundle.kind, bundle.parameters) == ("bundle", student.parameters)
    assert bundle.auc == pytest.approx(student.auc, abs=0.1)
    assert bundle.seconds_to_make is not None
    assert bundle.seconds_to_make >= (student.seconds_to_make or 0)
    engine = report.speeds["tmkd, bundle"].precision
    assert engine == Ranker(finished.run / "bundle").engine_words
    assert f"tmkd, bundle: {finished.run / 'bundle'}, served here by {engine}" in said.err
    assert any(line.startswith("tmkd, bundle ") for line in said.out.splitlines())
    assert "tmkd, bundle" in (finished.run / "report.html").read_text()


def test_rows_come_in_order_with_their_members(finished_world: World) -> None:
    rows = {row.row: row for row in measured_rows(tiny.opened(finished_world))}
    assert list(rows) == [*tiny.YARDSTICKS, *tiny.TEACHERS, "ensemble", *tiny.ROWS]
    assert rows["t2"].keys == ("teacher-t2",)
    assert rows["t2"].seed == 2
    assert rows["ensemble"].keys == ("teacher-t1", "teacher-t2")  # imported scores are no network to be measured
    assert {name: len(row.keys) for name, row in rows.items() if row.kind == "student"} == {
        **dict.fromkeys(tiny.ROWS, 1),
        "m-o-m": 2,
    }
    assert set(rows["1-o-1"].keys) < set(rows["m-o-m"].keys)  # the best teacher's student is one of the two


def test_what_a_row_took_is_all_its_stages(finished_world: World) -> None:
    run = tiny.opened(finished_world)
    rows = {row.row: row for row in measured_rows(run)}
    assert {name: len(row.made_by) for name, row in rows.items()} == {
        **dict.fromkeys(tiny.YARDSTICKS, 1),
        **{"t1": 1, "t2": 1, "ensemble": 2},
        **{"bert-3": 1, "1-o-1": 1, "1avg-o-1": 1, "m-o-m": 2, "tkd": 2, "mkd": 1, "tmkd": 2},
    }
    told = {row["row"]: row["seconds_to_make"] for row in report_of(finished_world)["rows"]}
    for name, row in rows.items():
        manifests = [read_manifest(folder) for folder in row.made_by]
        assert told[name] == pytest.approx(sum(manifest.seconds for manifest in manifests if manifest), abs=0.06)


def test_a_row_is_the_mean_of_its_members_probabilities(finished_world: World) -> None:
    folder = finished_world.run / "predictions" / "toy"
    labels = Corpus.open(finished_world.run / "pairs" / "toy" / "test").label_array()
    told = {row["row"]: row["accuracy"] for row in report_of(finished_world)["rows"]}
    for row in measured_rows(tiny.opened(finished_world)):
        each = [load_file(folder / key / "test.safetensors")["probabilities"] for key in row.keys]
        for one in each:
            assert one.dtype == np.float64
            np.testing.assert_allclose(one.sum(axis=1), 1)
        assert told[row.row] == accuracy(np.mean(each, axis=0), labels)


def test_rows_of_one_shape_share_one_timing(finished_world: World) -> None:
    speeds = report_of(finished_world)["speeds"]
    rate = {name: speed["pairs_per_second"] for name, speed in speeds.items()}
    single = {rate[name] for name in tiny.ROWS if name != "m-o-m"}
    assert len(single) == 1
    assert len({*single, rate["m-o-m"], rate["t1"], rate["ensemble"]}) == 4
    assert rate["t1"] == rate["t2"]
    assert all(speed["pairs"] == 8 and speed["batch"] == 4 for speed in speeds.values())


def test_the_first_pairs_of_the_first_test_set_are_timed(
    finished_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[tuple[object, ...]] = []

    def measure(scorers: list[Scorer], *given: object) -> dict[str, Speed]:
        timed.append(given)
        return {scorer.name: Speed(1.0, 8, 1, 4, 1, 9.0, "fp32") for scorer in scorers}

    monkeypatch.setattr("tmkd.evaluate.speed.measure", measure)
    run = tiny.opened(finished_world)
    rows = list(measured_rows(run))
    assert _speeds(run, rows).keys() == {("toy", row.keys) for row in rows}
    first = run.corpus("toy/test").table().slice(0, 8)
    assert timed == [(first["question"].to_pylist(), first["passage"].to_pylist(), 1, 4)]


def test_the_best_students_folder_is_printed_below_the_table(finished: World, tmkd: Call) -> None:
    report = report_of(finished)
    dev = {row["row"]: more["dev"] for row, more in zip(report["rows"], report["details"], strict=True)}
    best = max(tiny.ROWS, key=lambda row: dev[row])  # the first of equals
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    (line,) = [line for line in said.err.splitlines() if line.startswith("best student")]
    start, folder, call = re.split(r": (?=/)|; in Python: ", line)
    assert start == f"best student of toy by dev ({best})"
    assert call == f"tmkd.Student.from_pretrained('{folder}')"
    (row,) = [row for row in measured_rows(tiny.opened(finished)) if row.row == best]
    assert folder == str(finished.run / "students" / row.keys[0])
    assert said.err.splitlines()[-1] == str(finished.run / "report.html")


def test_of_a_task_without_measured_rows_no_student_is_told(finished: World, tmkd: Call) -> None:
    tiny.change(finished.recipe, "tasks.other", read_recipe(finished.recipe).tasks["toy"].model_dump(mode="json"))
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--tasks", "toy")
    assert said.code == 0, said.err
    assert [line.split()[:4] for line in said.err.splitlines() if "student of" in line] == [
        ["best", "student", "of", "toy"]
    ]


def test_of_a_row_with_several_students_all_folders_are_named(finished: World, tmkd: Call) -> None:
    for name in tiny.ROWS:
        if name != "m-o-m":
            tiny.change(finished.recipe, f"rows.{name}", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    (row,) = [row for row in measured_rows(tiny.opened(finished)) if row.row == "m-o-m"]
    one, two = (finished.run / "students" / key for key in row.keys)
    call = f"tmkd.Student.from_pretrained('{one}')"
    assert f"best student of toy by dev (m-o-m): the mean of {one}, {two}; in Python: {call}" in said.err.splitlines()


def test_json_is_the_report_file(finished: World, tmkd: Call) -> None:
    said = tmkd("evaluate", finished.recipe, "--runs", finished.runs, "--json")
    assert json.loads(said.out) == report_of(finished)
    assert said.out == (finished.run / "report" / "report.json").read_text()


def test_two_tasks_share_stage_1_and_are_measured_apart(world: World, tmkd: Call) -> None:
    kinds = ("entails", "neutral", "contradicts")
    for name, topics in (("nli-train", range(18)), ("nli-dev", range(26, 30)), ("nli-test", range(18, 26))):
        rows = [(tiny.passage(t, True), tiny.passage(t, False), kinds[t % 3]) for t in topics]
        tiny.write_tsv(world.data / f"{name}.tsv", ("premise", "hypothesis", "label"), rows)
    few = {**tiny.FIT, "epochs": 1}
    tiny.change(world.recipe, "tasks.nli", {
        "train": "nli-train.tsv", "dev": "nli-dev.tsv", "tests": {"matched": "nli-test.tsv", "again": "nli-test.tsv"},
        "kind": "nli", "labels": list(kinds), "positive": "entails",
    })  # fmt: skip
    tiny.change(world.recipe, "teachers.n1", {"task": "nli", "base": "bert", "max_length": 48, "fit": few})
    tiny.change(world.recipe, "stages.finetune.fit", few)
    for row in ("1avg-o-1", "m-o-m", "tkd", "mkd", "1-o-1"):
        tiny.change(world.recipe, f"rows.{row}", None)
    tiny.change(world.recipe, "teachers.t2", None)
    said = tmkd("run", world.recipe, "--runs", world.runs)
    assert said.code == 0, said.err
    rows = [(row["task"], row["row"], row["split"]) for row in report_of(world)["rows"]]
    assert rows == [
        *(("toy", row, "test") for row in (*tiny.YARDSTICKS, "t1")),
        *(("nli", "n1", split) for split in ("matched", "again")),
        ("toy", "bert-3", "test"),
        *(("nli", "bert-3", split) for split in ("matched", "again")),
        ("toy", "tmkd", "test"),
        *(("nli", "tmkd", split) for split in ("matched", "again")),
    ]
    assert len(list((world.run / "students").iterdir())) == 5  # bert-3 twice, stage 1 once, stage 2 twice
    assert "distill/nli/tmkd/1/stage 2" in said.err
    assert "distill/nli/tmkd/1/stage 1" not in said.err
