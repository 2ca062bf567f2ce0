"""Steps of the teachers: the accuracy by which `best` chooses, and teachers that have learned nothing."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

import tiny
from finished_steps import snapshot, states, steps_made
from tiny import Call, World
from tmkd.store import read_manifest, sealed


@pytest.fixture
def judged(world: World, tmkd: Call) -> Any:
    """(scored dev pairs, with a right score or a wrong one) → facts of the judge's scores of train and dev."""

    def score(*right: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        found = [(*pair[:2], 0.9 if pair[2] == "yes" else 0.1) for pair in tiny.pairs(range(18))]
        for (question, passage, label), good in zip(tiny.pairs(range(18, 24)), right, strict=False):
            found.append((question, passage, 0.9 if (label == "yes") == good else 0.1))
        tiny.write_tsv(world.data / "scores.tsv", ("question", "passage", "score"), found)
        judge = {"task": "toy", "file": "scores.tsv", "scores": ["toy"], "missing": "drop"}
        for key, value in {"collect": None, "rows": None, "teachers": {"judge": judge}}.items():
            tiny.change(world.recipe, key, value)
        for verb in ("collect", "teach", "score"):
            said = tmkd(verb, world.recipe, "--runs", world.runs)
            assert said.code == 0, said.err
        train, dev = (sealed(world.run / "softlabels" / "toy" / split / "judge").facts for split in ("train", "dev"))
        return dict(train), dict(dev)

    return score


def test_the_accuracy_of_a_teacher_is_of_the_dev_pairs_that_it_scored(judged: Any) -> None:
    train, dev = judged(True, False, True, True)
    assert dev["accuracy"] == 0.75
    assert (train["missing"], dev["missing"]) == (0, 8)
    assert "accuracy" not in train


def test_a_teacher_that_scored_no_dev_pair_has_no_accuracy(judged: Any) -> None:
    _, dev = judged()
    assert "accuracy" not in dev
    assert dev["missing"] == 12


def test_an_added_teacher_is_the_only_one_that_scores(finished: World, tmkd: Call) -> None:
    before = snapshot(finished.run / "softlabels")
    teacher = {"task": "toy", "base": "bert", "max_length": 48, "seed": 3, "fit": {**tiny.FIT, "epochs": 1}}
    tiny.change(finished.recipe, "teachers.t3", teacher)
    assert steps_made(tmkd("teach", finished.recipe, "--runs", finished.runs)) == ["teach/t3"]
    said = tmkd("score", finished.recipe, "--runs", finished.runs)
    assert steps_made(said) == ["score/toy/dev/t3", "score/toy/train/t3", "score/web/t3"]
    after = snapshot(finished.run / "softlabels")
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[-2] for name in set(after) - set(before)} == {"t3"}


def test_another_precision_makes_all_anew_that_was_made_in_it(finished: World, tmkd: Call) -> None:
    changed = states(tmkd, finished, "--set", "precision=bf16")
    assert changed["teach/t1"] == ("stale", "recipe changed: precision")
    assert changed["distill/toy/bert-3/1"] == ("stale", "recipe changed: precision")
    assert changed["evaluate/toy/teacher t1"][0] == "stale"
    assert (changed["teach/judge"], changed["collect/web"]) == (("done", ""), ("done", ""))


def test_stored_scores_of_another_precision_are_not_taken(finished: World, tmkd: Call) -> None:
    shutil.copytree(finished.run / "teachers" / "toy" / "t1", finished.recipe.parent / "ready")
    (finished.recipe.parent / "ready" / "manifest.json").unlink()
    tiny.change(finished.recipe, "teachers", {"ready": {"task": "toy", "model": "ready", "max_length": 48}})
    tiny.change(finished.recipe, "rows", None)
    folder = finished.run / "softlabels" / "web" / "ready"
    found = []
    for precision in ("auto", "fp32", "bf16"):
        for verb in ("teach", "score"):
            said = tmkd(verb, finished.recipe, "--runs", finished.runs, "--set", f"precision={precision}")
            assert said.code == 0, said.err
        assert "done in" in said.err
        manifest = read_manifest(folder)
        assert manifest is not None
        assert manifest.facts["scored_now"] == manifest.facts["pairs"] > 0
        found.append(next(folder.glob("*.safetensors")))
    assert [path.exists() for path in found] == [False, False, True]  # one file at a time: the others are pruned


def scored_of_four(world: World, *of_four: float) -> World:
    """A judge of 100 dev pairs, labelled yes and no in turns, whose scores of four in a row are these: a task alone."""
    dev = [
        (f"what is {n}", f"{n} is {word}", label) for n in range(50) for word, label in (("this", "yes"), ("so", "no"))
    ]
    train = tiny.pairs(range(18))
    scores = [(*pair[:2], of_four[place % 4]) for place, pair in enumerate([*dev, *train])]
    tiny.write_tsv(world.data / "dev.tsv", ("question", "passage", "label"), dev)
    tiny.write_tsv(world.data / "scores.tsv", ("question", "passage", "score"), scores)
    judge = {"task": "toy", "file": "scores.tsv", "scores": ["toy"]}
    for key, value in {"collect": None, "rows": None, "teachers": {"judge": judge}}.items():
        tiny.change(world.recipe, key, value)
    return world


@pytest.fixture
def scored_by_chance(world: World) -> World:
    """A judge whose scores of 100 dev pairs have nothing to do with their labels."""
    return scored_of_four(world, 0.9, 0.1, 0.1, 0.9)


def test_a_teacher_that_has_learned_nothing_stops_the_run_before_its_scores_are_used(
    scored_by_chance: World, tmkd: Call
) -> None:
    world = scored_by_chance
    for _ in range(2):  # the second run stops at the same place
        said = tmkd("run", world.recipe, "--runs", world.runs)
        assert said.code == 1
        assert "teacher judge: on 100 labelled pairs of toy/dev it has learned nothing: AUC 0.500" in said.err
        assert "chance is 0.5 ± 0.058" in said.err
        assert "teachers.judge.force: true" in said.err
    assert not (world.run / "softlabels" / "toy" / "train").exists()
    tiny.change(world.recipe, "teachers.judge.force", True)
    said = tmkd("score", world.recipe, "--runs", world.runs)
    assert said.code == 0, said.err
    assert "warning: it has learned nothing: AUC 0.500" in said.err
    assert (world.run / "softlabels" / "toy" / "train" / "judge" / "manifest.json").is_file()
    tiny.change(world.recipe, "teachers.judge.force", False)
    assert "0 steps done now" in tmkd("score", world.recipe, "--runs", world.runs).err  # no setting of the scores


def test_a_teacher_whose_classes_are_reversed_stops_the_run(world: World, tmkd: Call) -> None:
    world = scored_of_four(world, 0.1, 0.9, 0.1, 0.9)  # of yes, no, yes, no
    said = tmkd("run", world.recipe, "--runs", world.runs)
    assert said.code == 1
    assert "teacher judge: on 100 labelled pairs of toy/dev its scores go against the labels: AUC 0.000" in said.err
    assert "its classes are the wrong way round" in said.err
    assert "teachers.judge.force: true" in said.err


def test_too_few_pairs_do_not_stop_a_run(scored_by_chance: World, tmkd: Call) -> None:
    world = scored_by_chance
    rows = (world.data / "dev.tsv").read_text().splitlines()
    (world.data / "dev.tsv").write_text("\n".join(rows[:-2]) + "\n")  # 98 pairs
    tmkd("collect", world.recipe, "--runs", world.runs)
    tmkd("teach", world.recipe, "--runs", world.runs)
    said = tmkd("score", world.recipe, "--runs", world.runs)
    assert said.code == 0, said.err
