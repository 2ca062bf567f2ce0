"""The whole flow through the command line: done, resumed, grown, changed, damaged."""

from __future__ import annotations

import json

import tiny
from finished_steps import printed_rows, steps_made
from tiny import Call, World
from tmkd.store import read_manifest


def test_one_command_makes_teachers_students_and_report(finished_world: World) -> None:
    report = json.loads((finished_world.run / "report.json").read_text())
    rows = {row["row"]: row for row in report["rows"]}
    assert list(rows) == [*tiny.YARDSTICKS, *tiny.TEACHERS, "ensemble", *tiny.ROWS]
    assert all(rows[name]["accuracy"] > 0.8 for name in tiny.TEACHERS)
    assert max(rows[name]["accuracy"] for name in tiny.ROWS) > 0.8
    for row in rows.values():
        assert row["split"] == "test"
        assert row["pairs_per_second"] > 0
        assert row["seconds_to_make"] > 0 or row["row"] in tiny.YARDSTICKS  # less than half a tenth of a second
        assert row["mrr"] is not None
    members = 2
    assert rows["m-o-m"]["parameters"] == members * rows["1-o-1"]["parameters"]
    assert rows["ensemble"]["bytes"] == sum(rows[name]["bytes"] for name in tiny.TEACHERS)
    table = (finished_world.recipe.parent / "stdout").read_text()
    assert printed_rows(table) == ["row", "bm25", "cosine", *list(rows)[2:]]
    assert "tmkd" in (finished_world.run / "report.html").read_text()


def test_the_verbs_one_after_the_other_do_what_run_does(world: World, finished_world: World, tmkd: Call) -> None:
    for verb in ("collect", "teach", "score", "distill", "evaluate"):
        said = tmkd(verb, world.recipe, "--runs", world.runs)
        assert said.code == 0, said.err
        kinds = {"collect": {"index", "questions", "collect"}, "distill": {"tokens", "distill"}}.get(verb, {verb})
        assert {step.partition("/")[0] for step in steps_made(said)} == kinds
        if verb == "score":
            assert "web × judge: logits" in said.err
            assert "toy/dev × t1: accuracy" in said.err
    assert tiny.comparable(world.run / "report.json") == tiny.comparable(finished_world.run / "report.json")


def test_grown_questions_leave_tasks_and_teachers_alone(finished: World, tmkd: Call) -> None:
    with (finished.data / "questions.txt").open("a") as file:
        file.write("is the clock old\n")
    tiny.change(finished.recipe, "teachers.judge.missing", "drop")
    for row in tiny.ROWS:
        tiny.change(finished.recipe, f"rows.{row}", None)
    tiny.change(finished.recipe, "rows.mine", {"stages": ["pretrain", "finetune"]})
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert steps_made(said) == [
        "questions/web",
        "collect/web",
        "score/web/t1",
        "score/web/t2",
        "score/web/judge",
        "tokens/web",
        "distill/toy/mine/1/stage 1",
        "distill/toy/mine/1/stage 2",
        "evaluate/toy/mine",
        "evaluate/toy/bm25",  # other passages are collected
        "evaluate/report",
    ]
    manifest = read_manifest(finished.run / "softlabels" / "web" / "judge")
    assert manifest is not None
    assert manifest.facts["missing"] > 0


def test_extras_are_made_only_when_asked_for(finished: World, tmkd: Call) -> None:
    teacher = {
        "task": "toy",
        "base": "bert",
        "max_length": 48,
        "seed": 3,
        "fit": {**tiny.FIT, "epochs": 1},
        "extra": True,
    }
    tiny.change(finished.recipe, "teachers.t3", teacher)
    tiny.change(finished.recipe, "rows.tkd.extra", True)
    assert steps_made(tmkd("run", finished.recipe, "--runs", finished.runs)) == ["evaluate/report"]
    assert "tkd" not in (finished.run / "report.json").read_text()
    for row in ("1avg-o-1", "m-o-m", "mkd", "tmkd"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    made = steps_made(tmkd("run", finished.recipe, "--runs", finished.runs, "--all"))
    assert made[0] == "teach/t3"
    assert "evaluate/toy/teacher t3" in made
    rows = json.loads((finished.run / "report.json").read_text())["rows"]
    assert [row["row"] for row in rows] == [*tiny.YARDSTICKS, "t1", "t2", "t3", "ensemble", "bert-3", "1-o-1", "tkd"]


def test_a_second_teachers_seed_makes_the_whole_chain_anew_and_nothing_else(finished: World, tmkd: Call) -> None:
    for row in ("1-o-1", "1avg-o-1", "m-o-m", "mkd", "tkd"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    seeds = ("--set", "seeds={students: [1], teachers: [1, 2]}")
    shown = tmkd("show", finished.recipe, "--runs", finished.runs, *seeds)
    assert "students of the rows: 3 (students' seeds 1; teachers' seeds 1, 2)" in shown.out
    made = steps_made(tmkd("run", finished.recipe, "--runs", finished.runs, *seeds))
    assert made == [
        "teach/t1@2",
        "teach/t2@2",
        *(f"score/{corpus}/{name}@2" for corpus in ("toy/dev", "toy/train", "web") for name in ("t1", "t2")),
        "evaluate/toy/teacher t1@2",
        "evaluate/toy/teacher t2@2",
        "distill/toy/tmkd@2/1/stage 1",
        "distill/toy/tmkd@2/1/stage 2",
        "evaluate/toy/tmkd@2",
        "evaluate/report",
    ]
    report = json.loads((finished.run / "report.json").read_text())
    assert report["teachers_seeds"] == [1, 2]
    pairs = [(row["row"], row["teachers_seed"]) for row in report["rows"] if row["row"] in ("t1", "bert-3", "tmkd")]
    assert pairs == [("t1", 1), ("t1", 2), ("bert-3", 1), ("tmkd", 1), ("tmkd", 2)]
    assert any(note.startswith("web × t1@2: logits") for note in report["notes"])
    again = tmkd("run", finished.recipe, "--runs", finished.runs, *seeds)
    assert "0 steps done now" in again.err
    assert "over 2 pairs of a teachers" in (finished.run / "report.html").read_text()


def test_a_recipe_without_rows_measures_its_teachers(finished: World, tmkd: Call) -> None:
    tiny.change(finished.recipe, "rows", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    assert printed_rows(said.out) == ["row", "bm25", "cosine", "t1", "t2", "ensemble"]
