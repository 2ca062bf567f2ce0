"""Steps of the teachers: the accuracy by which `best` chooses."""

from __future__ import annotations

from typing import Any

import pytest

import tiny
from tiny import Call, World
from tmkd.store import sealed


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
