"""Kinds of teacher, in the tiny world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import tiny
from network.test_embeddings import write_model, write_settings
from tiny import World
from tmkd.data.softlabels import shard_path
from tmkd.errors import TmkdError
from tmkd.recipe.schema import TeacherSpec
from tmkd.store import digest_file
from tmkd.teachers.kinds import FineTuned, Imported, ReadyMade, Similarity, teacher_of
from tmkd.train.estimate import Estimate
from tmkd.train.hardware import Hardware


@pytest.mark.parametrize(
    ("entry", "kind", "pretrained"),
    [
        ({"base": "bert"}, FineTuned, "bert"),
        ({"model": "it"}, ReadyMade, "it"),
        ({"similarity": "it"}, Similarity, "it"),
        ({"file": "s.tsv"}, Imported, None),
        ({"file": "t1.npz"}, Imported, None),
    ],
)
def test_a_recipes_entry_becomes_one_kind(entry: dict[str, Any], kind: type, pretrained: str | None) -> None:
    teacher = teacher_of("t", TeacherSpec.model_validate({"task": "toy", **entry}))
    assert type(teacher) is kind
    assert (teacher.name, teacher.pretrained) == ("t", pretrained)
    assert teacher.scores_by_default == (entry.get("file") != "s.tsv")  # a fragment has all that its teacher scored


def test_a_teacher_is_made_from_its_tasks_pairs_a_model_or_a_file(world: World) -> None:
    run = tiny.opened(world, "teachers.ready={task: toy, model: bert}", "precision=bf16")
    model = {"pretrained bert": run.pretrained("bert").digest}
    t1, ready, judge = (run.teachers[name] for name in ("t1", "ready", "judge"))
    assert (t1.needs(run), t1.outside(run)) == ({"collect/toy": run.corpus_artifact("toy")}, model)
    assert (ready.needs(run), ready.outside(run)) == ({}, model)
    assert (judge.needs(run), judge.outside(run)) == ({}, {"file scores.tsv": digest_file(world.data / "scores.tsv")})
    assert t1.settings(run)["precision"] == ready.settings(run)["precision"] == "bf16"
    assert "precision" not in judge.settings(run)


def test_a_teachers_settings_are_those_that_decide_its_logits(world: World) -> None:
    run = tiny.opened(world)
    settings = run.teachers["t1"].settings(run)
    assert {"extra", "scores", "missing"}.isdisjoint(settings)
    assert {"checkpoint_steps", "tensorboard"}.isdisjoint(settings["fit"])
    assert settings["seed"] == 1
    assert settings["fresh_pooler"] is True  # auto, decided by the weights of bert


def test_a_ready_made_teacher_whose_classes_are_unknown_is_refused(finished: World, tmp_path: Path) -> None:
    ready = {"task": "toy", "model": "runs/tiny/teachers/toy/t1", "classes": {"yes": "LABEL_9"}}
    tiny.change(finished.recipe, "teachers.ready", ready)
    run = tiny.opened(finished)
    with pytest.raises(TmkdError, match="teacher ready: its classes are no, yes"):
        run.teachers["ready"].make(run, tmp_path)


def test_a_ready_made_teacher_scores_the_pairs_of_a_corpus(finished: World, tmp_path: Path) -> None:
    run = tiny.opened(finished, "teachers.ready={task: toy, model: runs/tiny/teachers/toy/t1, max_length: 48}")
    facts = run.teachers["ready"].score(run, "toy/dev", tmp_path, "a" * 64)
    assert (facts["pairs"], facts["scored_now"]) == (12, 12)
    (shard,) = run.corpus("toy/dev").shards
    same = load_file(shard_path(run.soft_folder("toy/dev", "t1"), run.column("toy/dev", "t1").digest, shard.digest))
    assert np.array_equal(load_file(shard_path(tmp_path, "a" * 64, shard.digest))["logits"], same["logits"])


def test_the_estimate_of_a_teacher_without_training_is_a_moment(world: World) -> None:
    run = tiny.opened(world, "teachers.ready={task: toy, model: bert}")
    sizes = {"toy/train": 36}
    assert run.teachers["t1"].making(run, sizes).pairs == 36
    assert [run.teachers[name].making(run, sizes) for name in ("ready", "judge")] == [Estimate(0, 1, 0)] * 2
    assert run.teachers["ready"].scoring(run, 10) == run.teachers["t1"].scoring(run, 10)
    scoring = [run.teachers[name].scoring(run, 10) for name in ("ready", "judge")]
    assert [(one.pairs, one.bytes) for one in scoring] == [(10, 80), (10, 80)]  # two float32 a pair


def test_an_embedding_model_is_made_from_hand_labels_and_its_own_files(world: World, tmp_path: Path) -> None:
    model = tmp_path / "embedder"
    model.mkdir()
    write_model(model)
    write_settings(model, {"pooling_mode_mean_tokens": True})
    run = tiny.opened(world, f"teachers.cos={{task: toy, similarity: {model}}}")
    cos = run.teachers["cos"]
    assert isinstance(cos, Similarity)
    assert cos.needs(run) == {"collect/toy": run.corpus_artifact("toy")}
    before = cos.outside(run)
    assert before[f"pretrained {model}"] == run.pretrained(str(model)).digest
    write_settings(model, {"pooling_mode_cls_token": True})
    assert cos.outside(run)["its embedding's settings"] != before["its embedding's settings"]
    assert cos.folder(run) == model


def test_imported_scores_have_no_network(world: World) -> None:
    run = tiny.opened(world)
    with pytest.raises(TmkdError, match="teacher judge: its scores were made elsewhere, it has no network"):
        run.teachers["judge"].open(run, Hardware("cpu", "fp32"))
