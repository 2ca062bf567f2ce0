"""Steps of evaluation, in the tiny world."""

from __future__ import annotations

import tiny
from tiny import World
from tmkd.flow.evaluate import evaluate_steps


def test_predictions_of_an_interrupted_run_are_kept(finished: World) -> None:
    run = tiny.opened(finished)
    folder = finished.recipe.parent / "again"
    folder.mkdir()
    (folder / "test.safetensors").write_bytes(b"stored before")
    step = next(step for step in evaluate_steps(run) if step.title == "evaluate/toy/teacher t1")
    facts = step.make(folder)
    assert (folder / "test.safetensors").read_bytes() == b"stored before"
    assert facts["pairs"] == 12


def test_only_teachers_with_a_network_are_evaluated(finished_world: World) -> None:
    titles = [step.title for step in evaluate_steps(tiny.opened(finished_world))]
    assert [title for title in titles if "teacher" in title] == ["evaluate/toy/teacher t1", "evaluate/toy/teacher t2"]


def test_a_student_of_two_rows_is_evaluated_once(finished_world: World) -> None:
    steps = list(evaluate_steps(tiny.opened(finished_world)))
    students = [step.needs["the student"] for step in steps if "the student" in step.needs]
    assert len(students) == len({*students}) == 7  # 1-o-1's student is one of the two of m-o-m


def test_rows_whose_best_teacher_is_unknown_wait(world: World) -> None:
    waiting = [step for step in evaluate_steps(tiny.opened(world)) if step.waits]
    assert [step.name for step in waiting] == ["evaluate/toy/1-o-1/1", "evaluate/toy/tkd/1"]
    sizes = {"toy/test": 12}
    assert {step.estimate(sizes).pairs for step in waiting} == {12}
