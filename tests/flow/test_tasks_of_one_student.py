"""One stage-1 student of a Q&A corpus serves a task of three classes too: its body carries over, headers are fresh."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import tiny
from tiny import World
from tmkd.flow.run_folder import RunFolder
from tmkd.network import Student

CLASSES = ("entailment", "neutral", "contradiction")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """TMKD on a Q&A task, and on pairs of two sentences with two teachers of their own."""
    world = World(tiny.write_world(tmp_path_factory.mktemp("tasks")))
    kinds = {"entailment": (True, True), "neutral": (True, False), "contradiction": (False, False)}
    topics = {"train": range(18), "dev": range(18, 24), "test": range(24, 30), "other": range(30, 36)}
    for name, numbers in topics.items():
        rows = [
            (tiny.passage(topic, first), tiny.passage(topic + 1, second), label)
            for topic in numbers
            for label, (first, second) in kinds.items()
        ]
        tiny.write_tsv(world.data / f"nli-{name}.tsv", ("sentence1", "sentence2", "gold_label"), rows)
    source = {"columns": {"label": "gold_label"}}
    nli = {
        "kind": "nli",
        **{part: {**source, "file": f"nli-{part}.tsv"} for part in ("train", "dev")},
        "tests": {name: {**source, "file": f"nli-{name}.tsv"} for name in ("test", "other")},
        "labels": [*CLASSES],
        "positive": "entailment",
    }
    tiny.change(world.recipe, "tasks.nli", nli)
    for seed in (1, 2):
        teacher = {"task": "nli", "base": "bert", "max_length": 48, "seed": seed, "fit": tiny.FIT}
        tiny.change(world.recipe, f"teachers.n{seed}", teacher)
    tiny.change(world.recipe, "teachers.judge", None)
    tiny.change(world.recipe, "rows", {"tmkd": {"stages": [{"use": "pretrain"}, {"use": "finetune"}]}})
    tiny.change(world.recipe, "stages.finetune.fit_on", {"nli": {"epochs": 2}})
    tiny.change(world.recipe, "stages.finetune.fit", {**tiny.FIT, "epochs": 1})
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    return tiny.opened(world)


def students(run: RunFolder, task: str) -> list[Student]:
    """The students after stage 1 and stage 2."""
    ((_, chain),) = run.row_students("tmkd", task, 1)
    return [Student.from_pretrained(run.student_folder(chain[:depth], 1)) for depth in (1, 2)]


def headers(student: Student) -> list[str]:
    return [header.name for header in student.headers.named]


def test_both_tasks_go_on_from_the_same_stage_1(run: RunFolder) -> None:
    folders = [run.row_students("tmkd", task, 1)[0][1][:1] for task in ("toy", "nli")]
    assert run.student_folder(folders[0], 1) == run.student_folder(folders[1], 1)
    assert len([*(run.folder / "students").iterdir()]) == 3


def test_the_class_counts_and_headers_are_the_tasks_own(run: RunFolder) -> None:
    first, second = students(run, "nli")
    assert headers(first) == ["toy/t1", "toy/t2"]
    assert headers(second) == ["nli/gold", "nli/n1", "nli/n2"]
    assert (first.labels.names, second.labels.names) == (("no", "yes"), CLASSES)
    assert headers(students(run, "toy")[1]) == ["toy/gold", "toy/t1", "toy/t2"]


def test_the_body_is_stage_1s_and_not_the_starts(run: RunFolder) -> None:
    from tmkd.network.encoder import bottom_layers

    first, second = students(run, "nli")
    start = bottom_layers(run.pretrained("bert").path, 1, "pooler")

    def away(other: torch.nn.Module) -> float:
        """Largest difference of a weight of the body after stage 2."""
        weights = dict(other.named_parameters())
        return max((weight - weights[name]).abs().max().item() for name, weight in second.encoder.named_parameters())

    assert 0 < away(first.encoder) < away(start)


def test_a_task_has_its_own_epochs_and_each_of_its_tests_in_the_report(run: RunFolder) -> None:
    from tmkd.store import sealed

    folder = run.row_students("tmkd", "nli", 1)[0][0]
    assert sealed(folder).settings["stage"]["fit"]["epochs"] == 2
    assert sealed(run.row_students("tmkd", "toy", 1)[0][0]).settings["stage"]["fit"]["epochs"] == 1
    report = json.loads((run.folder / "report.json").read_text())
    found = {(row["task"], row["split"]): row["accuracy"] for row in report["rows"] if row["row"] == "tmkd"}
    assert found.keys() == {("toy", "test"), ("nli", "test"), ("nli", "other")}
    assert np.isfinite([*found.values()]).all()
