"""What is said beside the numbers: the teachers' health, and what was left out of the sets."""

from __future__ import annotations

import json

import tiny
from finished_steps import printed_rows
from tiny import Call, World
from tmkd.flow.health import drawn_poolers, health_lines
from tmkd.flow.run_folder import RunFolder
from tmkd.recipe.reader import read_recipe


def test_health_has_a_line_per_corpus_and_teacher(finished_world: World) -> None:
    recipe = finished_world.recipe
    run = RunFolder(read_recipe(recipe), recipe.parent, finished_world.run)
    lines = list(health_lines(run))
    of = [line.partition(":")[0] for line in lines if not line.startswith("warning")]
    assert of == ["toy/dev × t1", "toy/dev × t2", "web × t1", "web × t2", "web × judge"]
    assert "accuracy" in lines[0]
    assert "agrees with t2" in lines[0]
    judge = next(line for line in lines if line.startswith("web × judge"))
    assert "accuracy" not in judge  # the corpus has no labels


def test_a_pooler_that_was_never_trained_is_a_warning(world: World, finished_world: World) -> None:
    recipe = world.recipe
    told = "bert: its pooler was never trained; a fresh one is drawn for t1, t2, the students (fresh_pooler: auto)"
    assert list(drawn_poolers(tiny.opened(world))) == [told]
    tiny.change(recipe, "student.pool", "first")
    tiny.change(recipe, "teachers.t1.fresh_pooler", True)
    tiny.change(recipe, "teachers.t2.fresh_pooler", False)
    assert list(drawn_poolers(tiny.opened(world))) == []
    notes = json.loads((finished_world.run / "report.json").read_text())["notes"]
    assert (
        "bert: its pooler was never trained; a fresh one is drawn for t1, t2, the students (fresh_pooler: auto)"
        in notes
    )


def test_the_pooler_of_a_rows_own_base_is_warned_of_too(world: World) -> None:
    tiny.write_encoder(world.recipe.parent / "other")
    tiny.change(world.recipe, "pretrained.other", {"folder": "other"})
    for row in tiny.ROWS:
        tiny.change(world.recipe, f"rows.{row}.student", {"base": "other"})
    assert [line.partition(":")[0] for line in drawn_poolers(tiny.opened(world))] == ["bert", "other"]
    assert "drawn for the students" in list(drawn_poolers(tiny.opened(world)))[1]
    tiny.change(world.recipe, "rows", {"it": {"stages": ["finetune"], "student": {"fresh_pooler": False}}})
    assert [line.partition(":")[0] for line in drawn_poolers(tiny.opened(world))] == ["bert"]


def test_auto_is_decided_before_it_becomes_a_setting(world: World) -> None:
    run = tiny.opened(world)
    tiny.change(world.recipe, "student.fresh_pooler", True)
    assert run.student_folder(run.row_students("mkd", "toy", 1)[0][1], 1) == (
        tiny.opened(world).student_folder(tiny.opened(world).row_students("mkd", "toy", 1)[0][1], 1)
    )
    assert run.teachers["t1"].settings(run)["fresh_pooler"] is True
    assert run.teachers["judge"].settings(run)["fresh_pooler"] is False
    assert "force" not in run.teachers["t1"].settings(run)


def test_the_report_counts_the_rows_that_the_guard_removed(finished: World, tmkd: Call) -> None:
    with (finished.data / "train.tsv").open("a") as file:
        file.write(f"{tiny.question(25)}\tanother text\tno\n")
    for row in tiny.ROWS:
        tiny.change(finished.recipe, f"rows.{row}", None)
    for teacher in ("t2", "judge"):
        tiny.change(finished.recipe, f"teachers.{teacher}", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    notes = json.loads((finished.run / "report.json").read_text())["notes"]
    assert "train rows 36, guard questions 1, guard removed 1" in notes[0]
    assert printed_rows(said.out) == ["row", "bm25", "cosine", "t1"]


def test_collecting_prints_the_judges_agreement(world: World, tmkd: Call) -> None:
    votes = [(*pair, judge) for pair in tiny.pairs(range(18)) for judge in ("ann", "bob", "cid")]
    tiny.write_tsv(world.data / "train.tsv", ("question", "passage", "vote", "judge"), votes)
    tiny.change(world.recipe, "tasks.toy.train", {"file": "train.tsv", "votes": {}})
    tiny.change(world.recipe, "collect.web", {"task": "toy", "pairs": "scores.tsv"})
    said = tmkd("collect", world.recipe, "--runs", world.runs)
    assert (said.code, said.out) == (0, "")
    told = said.err.replace("\n", " ")
    assert "train judges train.tsv votes 108" in told
    assert "train judges train.tsv kappa 1.0" in told
    assert "least agreeing ann 100.0 % of 36; bob 100.0 % of 36; cid 100.0 % of 36" in told


def test_a_teacher_whose_imported_scores_lack_dev_is_left_out_of_its_health(finished: World, tmkd: Call) -> None:
    for row in tiny.ROWS:
        tiny.change(finished.recipe, f"rows.{row}", None)
    tiny.change(finished.recipe, "teachers.judge.scores", ["web", "toy"])
    tiny.change(finished.recipe, "teachers.judge.missing", "drop")
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    notes = json.loads((finished.run / "report.json").read_text())["notes"]
    assert not [note for note in notes if note.startswith("toy/dev × judge")]
    assert [note for note in notes if note.startswith("web × judge")]


def test_an_imported_teacher_that_scored_dev_may_be_the_best(finished: World, tmkd: Call) -> None:
    labelled = [pair for topics in (range(18), range(18, 24)) for pair in tiny.pairs(topics)]
    rows = [(question, passage, 0.9 if label == "yes" else 0.1) for question, passage, label in labelled]
    tiny.write_tsv(finished.data / "scores.tsv", ("question", "passage", "score"), rows)
    for row in set(tiny.ROWS) - {"1-o-1"}:
        tiny.change(finished.recipe, f"rows.{row}", None)
    tiny.change(finished.recipe, "collect", None)
    tiny.change(finished.recipe, "teachers.judge.scores", ["toy"])
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    manifest = json.loads((finished.run / "softlabels" / "toy" / "dev" / "judge" / "manifest.json").read_text())
    assert manifest["facts"]["accuracy"] == 1
    students = [path.read_text() for path in finished.run.glob("students/*/config.json")]
    assert any("toy/judge" in text for text in students)
