"""Verbs of one kind of step: their part of the run, and workers by options; test_app.py has their failures."""

from __future__ import annotations

import sys

import pytest

from finished_steps import states
from tiny import Call, World
from tmkd.engines.local import LocalEngine
from tmkd.flow.plan import BY_ENGINE
from tmkd.machine import cores


def test_a_verb_makes_its_own_steps_alone(world: World, tmkd: Call) -> None:
    assert tmkd("collect", world.recipe, "--runs", world.runs).code == 0
    made = {name for name, state in states(tmkd, world).items() if state[0] == "done"}
    assert made == {"collect/toy", "collect/web", "index/web", "questions/web"}


def test_a_recipe_that_serves_nothing_precomputes_nothing(finished: World, tmkd: Call) -> None:
    ended = tmkd("precompute", finished.recipe, "--runs", finished.runs)
    assert ended.code == 2
    assert "does not say what to serve; add a line such as: serve: {collect: web}" in ended.err


@pytest.mark.parametrize("verb", ["run", "collect", "score"])
def test_more_workers_than_cores_are_refused_before_work(verb: str, world: World, tmkd: Call) -> None:
    ended = tmkd(verb, world.recipe, "--runs", world.runs, "--workers", cores() + 1)
    assert ended.code == 2
    assert f"--workers {cores() + 1} asks for {cores() + 1} threads, but there are {cores()} cores" in ended.err
    assert not world.runs.exists()


def test_an_engine_is_checked_before_a_verb_that_it_has_work_in(
    world: World, finished: World, tmkd: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[LocalEngine] = []
    monkeypatch.setattr(LocalEngine, "check", lambda engine: checked.append(engine))
    assert tmkd("score", finished.recipe, "--runs", finished.runs, "--workers", 1).code == 0
    assert checked == []  # all is done
    assert tmkd("collect", world.recipe, "--runs", world.runs, "--workers", 1).code == 0
    assert checked == [LocalEngine(1)]
    assert tmkd("teach", world.recipe, "--runs", world.runs).code == 0
    assert checked == [LocalEngine(1)]
    assert {*BY_ENGINE} == {"collect", "score", "precompute"}


def test_an_absent_ray_is_named_with_its_extra(world: World, tmkd: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it fails
    ended = tmkd("collect", world.recipe, "--runs", world.runs, "--engine", "ray")
    assert ended.code == 1
    assert "error: engine: ray needs ray: pip install 'tmkd[ray]'" in ended.err


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="two workers need two cores")
def test_workers_score_the_same_bytes(finished: World, tmkd: Call) -> None:
    folder = finished.run / "softlabels" / "web" / "t1"
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    for path in folder.iterdir():
        path.unlink()
    assert tmkd("score", finished.recipe, "--runs", finished.runs, "--workers", 2).code == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == before
    assert "0 steps done now" in tmkd("run", finished.recipe, "--runs", finished.runs).err
