"""Steps of evaluation, in the tiny world."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import tiny
from finished_steps import planned
from tiny import World
from tmkd.data.pairs import pair_table, write_corpus
from tmkd.evaluate.scorers import Probabilities


@dataclass(frozen=True)
class Reading:
    """A scorer that reads its probabilities from the passages."""

    name: str = "reading"
    parameters: int = 7
    bytes: int = 28
    precision: str = "fp32"

    def probabilities(self, questions: Sequence[str], passages: Sequence[str]) -> Probabilities:
        assert [question.replace("q", "p") for question in questions] == list(passages)
        assert all(question.startswith("q ") for question in questions)
        return np.array([[1 - int(text.split()[1]) / 8192, int(text.split()[1]) / 8192] for text in passages])

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        return 1.0


def test_every_pair_of_every_test_set_is_predicted_in_order(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.change(world.recipe, "tasks.toy.tests", {"test": "test.tsv", "more": "test.tsv"})
    run = tiny.opened(world)
    monkeypatch.setattr("tmkd.flow.evaluate.teacher_scorer", lambda run, teacher, name: Reading())
    sizes = {"test": 4097, "more": 3}  # two whole parts and a pair
    for split, size in sizes.items():
        questions, passages = ([f"{kind} {place}" for place in range(size)] for kind in "qp")
        table = pair_table(questions, passages, [0] * size)
        write_corpus(run.corpus_folder(f"toy/{split}"), run.labels("toy"), [table])
    step = next(step for step in planned(run, "evaluate") if step.title == "evaluate/toy/teacher t1")
    done: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "tmkd.progress.progress", lambda title, unit: nullcontext(lambda now, of: done.append((now, of)))
    )
    assert step.make(tmp_path) == {"parameters": 7, "bytes": 28, "precision": "fp32", "pairs": 4100}
    assert done == [(2048, 4100), (4096, 4100), (4097, 4100), (4100, 4100)]
    for split, size in sizes.items():
        stored = load_file(tmp_path / f"{split}.safetensors")["probabilities"]
        assert stored.dtype == np.float64
        assert (stored[:, 1] * 8192).tolist() == list(range(size))


def test_predictions_of_an_interrupted_run_are_kept(finished: World) -> None:
    run = tiny.opened(finished)
    folder = finished.recipe.parent / "again"
    folder.mkdir()
    before = save({"probabilities": np.full((12, 2), 0.5)})
    (folder / "test.safetensors").write_bytes(before)
    step = next(step for step in planned(run, "evaluate") if step.title == "evaluate/toy/teacher t1")
    facts = step.make(folder)
    assert (folder / "test.safetensors").read_bytes() == before
    assert facts["pairs"] == 12


def test_only_teachers_with_a_network_are_evaluated(finished_world: World) -> None:
    titles = [step.title for step in planned(tiny.opened(finished_world), "evaluate")]
    assert [title for title in titles if "teacher" in title] == ["evaluate/toy/teacher t1", "evaluate/toy/teacher t2"]


def test_a_student_of_two_rows_is_evaluated_once(finished_world: World) -> None:
    steps = planned(tiny.opened(finished_world), "evaluate")
    students = [step.needs["the student"] for step in steps if "the student" in step.needs]
    assert len(students) == len({*students}) == 7  # 1-o-1's student is one of the two of m-o-m


def test_rows_whose_best_teacher_is_unknown_wait(world: World) -> None:
    waiting = [step for step in planned(tiny.opened(world), "evaluate") if step.waits and "toy" in step.name]
    assert [step.name for step in waiting] == ["evaluate/toy/1-o-1/1", "evaluate/toy/tkd/1"]
    sizes = {"toy/test": 12}
    estimates = [step.estimate(sizes) for step in waiting]
    assert {(one.pairs, one.bytes) for one in estimates} == {(12, 12 * 16)}  # two float64 a pair
    assert [(step.verb, step.settings, step.needs) for step in waiting] == [("evaluate", {}, {})] * 2
