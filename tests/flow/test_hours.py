"""Time that is left, by verb: told before any work, and no longer once all is done."""

from __future__ import annotations

import re

import tiny
from tiny import Call, World
from tmkd.flow.hours import by_verb, hours_left
from tmkd.flow.plan import steps


def test_all_verbs_are_told_before_the_first_step(world: World, tmkd: Call) -> None:
    line = hours_left(tiny.opened(world))
    assert re.fullmatch(
        r"\d+ steps left, very roughly \d+ s: collect .*, teach .*, score .*, evaluate .*, distill .*", line
    )
    said = tmkd("run", world.recipe, "--runs", world.runs)
    assert said.err.startswith(f"{line}\n")


def test_nothing_is_told_where_nothing_is_left(finished: World, tmkd: Call) -> None:
    assert hours_left(tiny.opened(finished)) == ""
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert "steps left" not in said.err


def test_what_is_collected_is_counted_on_disk(finished: World) -> None:
    (finished.data / "train.tsv").unlink()
    (finished.data / "train.tsv").write_text("changed")
    run = tiny.opened(finished, "rows.bert-3.stages.0.fit.epochs=2")
    (stage,) = [step for step in steps(run) if step.title == "distill/toy/bert-3/1"]
    assert "distill" in hours_left(run)
    assert stage.state().kind == "missing"


def test_the_seconds_of_a_verb_are_the_sum_of_its_steps(world: World) -> None:
    sizes = dict.fromkeys(("toy/train", "toy/dev", "toy/test", "web"), 3_000_000)
    trained = [step for step in steps(tiny.opened(world)) if step.verb == "teach"]
    estimates = [(step, step.estimate(sizes)) for step in trained]
    total = sum(one.seconds for _, one in estimates)
    hours, minutes = int(total // 3600), int(total % 3600 // 60)
    told = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    assert by_verb(estimates).startswith(f"{len(trained)} steps left, very roughly {told}")
