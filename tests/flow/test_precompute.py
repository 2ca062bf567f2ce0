"""Steps of serving, in the tiny world."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import lmdb
import pytest

import tiny
from finished_steps import steps_made
from tiny import Call, World
from tmkd.flow.precompute import precompute_steps
from tmkd.serve import threshold
from tmkd.serve.answer_shards import read_shard
from tmkd.serve.lookup import LmdbAnswers
from tmkd.serve.question_key import question_key
from tmkd.serve.threshold import NEVER, Threshold
from tmkd.store import sealed

STEPS = ["precompute/answers", "precompute/lookup"]


@pytest.fixture(scope="module")
def served_world(finished_world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The finished world, exported, its questions answered: not to be changed."""
    folder = tmp_path_factory.mktemp("served") / "world"
    shutil.copytree(finished_world.recipe.parent, folder)
    world = World(folder / "tiny.yaml")
    (world.run / "recipe.yaml").unlink()
    tiny.change(world.recipe, "export", {"row": "tmkd", "force": True})
    tiny.change(world.recipe, "serve", {"collect": "web", "top": 3, "keep": 2, "threshold": 0.25})
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    assert "5 steps done now" in done.stderr
    return world


@pytest.fixture
def served(served_world: World, tmp_path: Path) -> World:
    """The same for one test."""
    shutil.copytree(served_world.recipe.parent, tmp_path / "served")
    copy = World(tmp_path / "served" / "tiny.yaml")
    (copy.run / "recipe.yaml").unlink()
    return copy


def stored(world: World, questions: list[str]) -> list[Any]:
    answers = LmdbAnswers(world.run / "lookup")
    found = [answers.get(question) for question in questions]
    answers.close()
    return found


def test_every_question_is_answered_and_stored(served_world: World) -> None:
    questions = [tiny.question(topic) for topic in range(30, 60)]
    found = {
        one.asked.question: [(answer.number, answer.score) for answer in one.answers if answer.score >= 0.25]
        for path in (served_world.run / "precomputed").glob("answers-*.parquet")
        for one in read_shard(path)
    }
    assert set(found) == set(questions)
    assert stored(served_world, questions) == [tuple(found[question]) for question in questions]
    bundle, index = (sealed(served_world.run / name).digest for name in ("bundle", "index/web"))
    store = LmdbAnswers(served_world.run / "lookup", bundle, index)
    assert (store.origin.scored_by.top, store.origin.scored_by.keep, store.origin.threshold) == (3, 2, 0.25)
    store.close()


def test_another_threshold_scores_nothing_anew(served: World, tmkd: Call) -> None:
    tiny.change(served.recipe, "serve.threshold", {"precision": 0.5})
    said = tmkd("precompute", served.recipe, "--runs", served.runs)
    assert (said.code, said.out.strip()) == (0, str(served.run / "lookup"))
    assert steps_made(said) == ["precompute/lookup"]
    facts = sealed(served.run / "lookup").facts
    assert facts["dev_precision"] >= 0.5
    assert facts["stored_questions"] == 30
    names = {path.name for path in (served.run / "lookup").iterdir()}
    assert names == {"current", "manifest.json", "version-00002", ".version-00001"}


def test_a_precision_that_no_score_has_is_told_and_nothing_is_an_answer(
    served: World, tmkd: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threshold, "find_threshold", lambda *given: Threshold(NEVER, 0.75, 0.0))
    tiny.change(served.recipe, "serve.threshold", {"precision": 0.9})
    said = tmkd("precompute", served.recipe, "--runs", served.runs)
    assert (
        "warning: no score has a precision of 0.9 on toy/dev (the highest is 0.750), so every question is" in said.err
    )
    assert stored(served, [tiny.question(topic) for topic in range(30, 60)]) == [()] * 30


def test_questions_of_a_file_are_answered_and_later_only_its_new_ones(served: World, tmkd: Call) -> None:
    tiny.change(served.recipe, "serve.questions", "asked.txt")
    asked = served.data / "asked.txt"
    asked.write_text("why the moon\nWhy the moon?\n\nhow old is the sun\n")
    said = tmkd("precompute", served.recipe, "--runs", served.runs)
    assert steps_made(said) == STEPS, said.err
    assert sealed(served.run / "precomputed").facts["questions"] == 2
    with asked.open("a") as file:
        file.write("where is the sea\n")
    said = tmkd("precompute", served.recipe, "--runs", served.runs)
    assert steps_made(said) == STEPS
    assert sealed(served.run / "precomputed").facts["scored_questions"] == 1
    assert None not in stored(served, ["why the moon", "how old is the sun", "where is the sea"])


def test_check_finds_a_wrong_value_in_the_store(served: World, tmkd: Call) -> None:
    key = question_key(tiny.question(31))
    folder = served.run / "lookup" / "version-00001"
    with lmdb.open(str(folder), lock=False) as environment, environment.begin(write=True) as change:
        change.put(key, bytes(8))
    said = tmkd("check", served.recipe, "--runs", served.runs)
    assert said.code == 1
    assert f"data.mdb: 1 of 30 entries are damaged, the first of them {key.hex()}" in said.err.replace("\n", "")


def test_check_estimates_the_steps_and_show_lists_them(served: World, tmkd: Call) -> None:
    tiny.change(served.recipe, "serve.questions", "asked.txt")
    (served.data / "asked.txt").write_text("why the moon\nhow old is the sun\n")
    said = tmkd("check", served.recipe, "--runs", served.runs, "--json")
    left = {one["step"]: one for one in json.loads(said.out)}
    assert left["precompute/answers"]["pairs"] == 2 * 3
    shown = json.loads(tmkd("show", served.recipe, "--runs", served.runs, "--json").out)
    assert [(one["step"], one["state"]) for one in shown[-2:]] == [(STEPS[0], "stale"), (STEPS[1], "stale")]


def test_a_recipe_that_serves_nothing_is_told_what_to_add(finished: World, tmkd: Call) -> None:
    said = tmkd("precompute", finished.recipe, "--runs", finished.runs)
    assert said.code == 2
    assert "does not say what to serve; add a line such as: serve: {collect: web}" in said.err


def test_the_head_needs_the_corpus_questions_and_a_file_does_not(served_world: World) -> None:
    for questions, needed in (("head", True), ("all", True), ("{file: questions.txt}", False)):
        run = tiny.opened(served_world, f"serve.questions={questions}")
        assert run.recipe.serve is not None
        answers, lookup = precompute_steps(run, run.recipe.serve)
        assert ("questions/web" in answers.needs) == needed
        assert ("file questions.txt" in answers.outside) != needed
        assert lookup.needs["precompute/answers"] == answers.folder
