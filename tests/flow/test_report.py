"""What the report is made of: whose predictions a row is the mean of, what it took, what is said beside it."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import tiny
from tiny import Call, World
from tmkd.data.pairs import Corpus
from tmkd.flow.report import measured_rows
from tmkd.metrics.quality import accuracy
from tmkd.store import read_manifest


def report_of(world: World) -> dict[str, Any]:
    return json.loads((world.run / "report.json").read_text())


def test_rows_come_in_order_with_their_members(finished_world: World) -> None:
    rows = {row.row: row for row in measured_rows(tiny.opened(finished_world))}
    assert list(rows) == [*tiny.TEACHERS, "ensemble", *tiny.ROWS]
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


def test_where_the_best_student_lies_is_said_beside_the_table(finished: World, tmkd: Call) -> None:
    accuracy = {row["row"]: row["accuracy"] for row in report_of(finished)["rows"]}
    best = max(tiny.ROWS, key=lambda row: accuracy[row])  # the first of equals
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    (line,) = [line for line in said.err.splitlines() if line.startswith("best student")]
    start, folder, call = re.split(r": (?=/)|; in Python: ", line)
    assert start == f"best student of toy ({best})"
    assert call == f"tmkd.Student.from_pretrained('{folder}')"
    (row,) = [row for row in measured_rows(tiny.opened(finished)) if row.row == best]
    assert folder == str(finished.run / "students" / row.keys[0])
    assert said.err.splitlines()[-1] == str(finished.run / "report.html")


def test_of_a_row_with_several_students_all_folders_are_named(finished: World, tmkd: Call) -> None:
    for name in tiny.ROWS:
        if name != "m-o-m":
            tiny.change(finished.recipe, f"rows.{name}", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    (row,) = [row for row in measured_rows(tiny.opened(finished)) if row.row == "m-o-m"]
    one, two = (finished.run / "students" / key for key in row.keys)
    told = f"best student of toy (m-o-m): the mean of {one}, {two}; in Python: tmkd.Student.from_pretrained('{one}')"
    assert told in said.err.splitlines()


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
        ("toy", "t1", "test"),
        *(("nli", "n1", split) for split in ("matched", "again")),
        ("toy", "bert-3", "test"),
        *(("nli", "bert-3", split) for split in ("matched", "again")),
        ("toy", "tmkd", "test"),
        *(("nli", "tmkd", split) for split in ("matched", "again")),
    ]
    assert len(list((world.run / "students").iterdir())) == 5  # bert-3 twice, stage 1 once, stage 2 twice
    assert "distill/nli/tmkd/1/stage 2" in said.err
    assert "distill/nli/tmkd/1/stage 1" not in said.err
