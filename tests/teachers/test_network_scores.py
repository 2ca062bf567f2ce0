"""Scores of a teacher with a network, in the tiny world."""

from __future__ import annotations

import shutil
from pathlib import Path

import tiny
from tiny import World
from tmkd.recipe.schema import TeacherSpec
from tmkd.teachers.network_scores import score_by_network, scoring_by_network, settings_of


def test_settings_are_those_that_decide_logits() -> None:
    spec = TeacherSpec(task="toy", base="bert", extra=True, force=True, scores=("web",))
    settings = settings_of(spec)
    assert {"extra", "force", "scores", "missing", "similarity"}.isdisjoint(settings)
    assert settings["fresh_pooler"] is False
    assert {"checkpoint_steps", "tensorboard"}.isdisjoint(settings["fit"])


def test_only_shards_without_logits_are_scored(finished: World, tmp_path: Path) -> None:
    run = tiny.opened(finished)
    digest = run.column("toy/dev", "t1").digest
    shutil.copytree(run.soft_folder("toy/dev", "t1"), tmp_path / "soft")
    assert score_by_network(run.teachers["t1"], run, "toy/dev", tmp_path / "soft", digest)["scored_now"] == 0
    (stored,) = (tmp_path / "soft").glob("*.safetensors")
    before = stored.read_bytes()
    stored.unlink()
    facts = score_by_network(run.teachers["t1"], run, "toy/dev", tmp_path / "soft", digest)
    assert facts["scored_now"] == facts["pairs"] == len(run.corpus("toy/dev"))
    assert stored.read_bytes() == before


def test_the_estimate_grows_with_the_pairs(world: World) -> None:
    run = tiny.opened(world)
    few, many = (scoring_by_network(run, "bert", pairs) for pairs in (1_000, 1_000_000))
    assert (few.pairs, few.bytes) == (1_000, 8_000)
    assert many.seconds > 100 * few.seconds
