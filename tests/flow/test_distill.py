"""Steps of the students: shared stages, and what a change of the recipe makes anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny
from finished_steps import steps_made
from tiny import Call, World
from tmkd.flow.distill import distill_steps


def test_students_are_made_once_and_shared(finished_world: World) -> None:
    # bert-3, 1-o-1, 1avg-o-1, two of m-o-m (one is 1-o-1's), two stages each of tkd and tmkd, mkd
    assert len(list((finished_world.run / "students").iterdir())) == 9


def test_a_changed_alpha_makes_only_its_stage_anew(finished: World, tmkd: Call) -> None:
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--set", "rows.tmkd.stages.1.alpha=0.9")
    assert steps_made(said) == ["distill/toy/tmkd/1/stage 2", "evaluate/toy/tmkd", "evaluate/report"]
    back = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert steps_made(back) == ["evaluate/report"]  # the other student is still there


def test_an_added_seed_trains_only_its_own_students(finished: World, tmkd: Call) -> None:
    for row in ("tkd", "1-o-1", "1avg-o-1", "m-o-m", "mkd", "tmkd"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--set", "seeds=[1, 2]")
    assert steps_made(said) == ["distill/toy/bert-3/2", "evaluate/toy/bert-3", "evaluate/report"]
    rows = json.loads((finished.run / "report.json").read_text())["rows"]
    assert [row["seed"] for row in rows if row["row"] == "bert-3"] == [1, 2]


def test_rows_of_one_pruned_student_share_its_start_and_first_stage(finished_world: World) -> None:
    small = "{student: {ffn: 8}, stages: [{use: pretrain}%s]}"
    run = tiny.opened(finished_world, f"rows={{a: {small % ''}, b: {small % ', {use: finetune}'}}}")
    start, first, second = distill_steps(run)
    assert [one.title for one in (start, first, second)] == [
        "distill/toy/a/start", "distill/toy/a/1", "distill/toy/b/1/stage 2"
    ]  # fmt: skip
    assert start.needs == {"collect/web": run.corpus_artifact("web")}
    assert (start.settings["corpus"], start.settings["student"]["ffn"]) == ("web", 8)
    assert first.needs["the narrowed start"] == second.needs["the narrowed start"] == start.folder
    assert second.needs["the stage before"] == first.folder
    assert {"collect/toy/train", "score/toy/train/t1", "score/toy/train/t2"} <= {*second.needs}


def test_a_pruned_start_is_chosen_by_the_questions_and_passages_of_the_first_stage(
    finished_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[str, str]] = []

    def write(base: Path, student: object, pairs: list[tuple[str, str]], folder: Path) -> dict[str, int]:
        used.extend(pairs)
        return {}

    monkeypatch.setattr("tmkd.network.prune.write_pruned", write)
    run = tiny.opened(finished_world, "rows={a: {student: {ffn: 8}, stages: [{use: pretrain}]}}")
    next(distill_steps(run)).make(tmp_path)
    assert used == [(pair.question, pair.passage) for pair in run.corpus("web").pairs()]


def test_a_row_whose_best_teacher_is_unknown_is_one_step_that_waits(world: World) -> None:
    waiting = {step.title: step for step in distill_steps(tiny.opened(world)) if step.waits}
    assert {*waiting} == {"distill/toy/1-o-1/1", "distill/toy/tkd/1"}
    assert {step.waits for step in waiting.values()} == {"score/toy/dev/t1"}
    sizes = {"toy/train": 36, "web": 120}
    pairs = {title: step.estimate(sizes).pairs for title, step in waiting.items()}
    assert pairs == {"distill/toy/1-o-1/1": 36, "distill/toy/tkd/1": 156}
