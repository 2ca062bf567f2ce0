from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import SoftLabels, TeacherColumn, shard_path
from tmkd.errors import TmkdError
from tmkd.teachers.network import TeacherNetwork, load
from tmkd.teachers.score import copy_scores, price_of_precision, remove_stale, score_shards, unscored
from tmkd.train.hardware import Hardware

LABELS = LabelSet("toy", ("no", "yes"), "yes")
TEACHER = "f" * 64


@pytest.fixture
def teacher(ready_made: Callable[..., Path]) -> TeacherNetwork:
    return load(ready_made("bert"), LABELS, {}, 32, Hardware("cpu", "fp32"), "t")


def score(teacher: TeacherNetwork, corpus: Corpus, folder: Path) -> list[int]:
    """Score what is not scored; returns the shards that were."""
    todo = unscored(corpus, folder, TEACHER)
    told: list[tuple[int, int]] = []
    pairs = score_shards(teacher, corpus, todo, folder, TEACHER, lambda done, total: told.append((done, total)))
    assert pairs == sum(corpus.shards[index].rows for index in todo)
    assert told[-1] == (pairs, pairs)
    return todo


def test_logits_lie_in_the_pairs_order(teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    pairs = corpus(tiny.pairs(range(5)), shard_rows=4)
    assert score(teacher, pairs, tmp_path) == [0, 1, 2]
    soft = SoftLabels.load(pairs, [TeacherColumn("t", TEACHER, tmp_path)])
    questions, passages, _ = zip(*tiny.pairs(range(5)), strict=True)
    np.testing.assert_allclose(soft.logits[:, 0], teacher.logits(questions, passages), atol=1e-5)


def test_a_grown_corpus_has_only_its_new_shards_scored(
    teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    score(teacher, corpus(tiny.pairs(range(4)), shard_rows=4), tmp_path)
    assert score(teacher, corpus(tiny.pairs(range(6)), shard_rows=4, name="grown"), tmp_path) == [2]


def test_a_damaged_shard_is_scored_again(
    teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    pairs = corpus(tiny.pairs(range(4)), shard_rows=4)
    score(teacher, pairs, tmp_path)
    path = shard_path(tmp_path, TEACHER, pairs.shards[1].digest)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert score(teacher, pairs, tmp_path) == [1]
    assert path.read_bytes() == whole  # a shard's logits are a function of teacher and shard alone


def test_another_teacher_has_scored_nothing(
    teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    pairs = corpus(tiny.pairs(range(2)))
    score(teacher, pairs, tmp_path)
    assert unscored(pairs, tmp_path, "e" * 64) == [0]


def test_a_teacher_that_gives_nan_is_refused(
    teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    torch.nn.init.constant_(next(iter(teacher.model.parameters())), float("nan"))
    with pytest.raises(TmkdError, match="row 1: NaN or infinite logit"):
        score(teacher, corpus(tiny.pairs(range(2))), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_logits_that_belong_to_nothing_any_more_are_removed(
    teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    old, new = corpus(tiny.pairs(range(2))), corpus(tiny.pairs(range(2, 4)), name="new")
    for pairs in (old, new):
        score(teacher, pairs, tmp_path)
    remove_stale(tmp_path, new, TEACHER)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == [
        shard_path(tmp_path, TEACHER, new.shards[0].digest).name
    ]


def test_the_cost_of_bf16_is_a_fact_and_fp32_has_none(teacher: TeacherNetwork, corpus: Callable[..., Corpus]) -> None:
    pairs = corpus(tiny.pairs(range(8)), shard_rows=4)
    assert price_of_precision(teacher, pairs) == {}
    told = price_of_precision(replace(teacher, hardware=Hardware("cpu", "bf16")), pairs)
    assert told.keys() == {"bf16_largest_difference", "bf16_mean_difference", "bf16_tau"}
    assert 0 < told["bf16_mean_difference"] <= told["bf16_largest_difference"] < 0.1
    assert -1 <= told["bf16_tau"] <= 1


def test_a_teacher_may_score_the_first_pairs_alone(
    teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    pairs = corpus(tiny.pairs(range(5)), shard_rows=4)
    column = [TeacherColumn("t", TEACHER, tmp_path)]
    told: list[tuple[int, int]] = []
    todo = unscored(pairs, tmp_path, TEACHER, 6)
    assert score_shards(teacher, pairs, todo, tmp_path, TEACHER, lambda *now: told.append(now), 6) == 6
    assert told[-1] == (6, 6)
    assert SoftLabels.load(pairs, column).complete.tolist() == [True] * 6 + [False] * 4
    assert unscored(pairs, tmp_path, TEACHER, 6) == []
    assert unscored(pairs, tmp_path, TEACHER, 9) == [1, 2]
    assert unscored(pairs, tmp_path, TEACHER) == [1, 2]
    score(teacher, pairs, tmp_path)
    assert SoftLabels.load(pairs, column).complete.all()


def test_scores_of_a_shard_are_copied_from_another_corpus(
    teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    small = corpus(tiny.pairs(range(5)), shard_rows=4)
    large = corpus(tiny.pairs(range(8)), shard_rows=4, name="large")
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    score(teacher, small, here)
    left = copy_scores(large, unscored(large, there, TEACHER), there, [tmp_path / "none", here], TEACHER, None)
    assert left == [2, 3]  # the last shard of the small one is shorter
    for index in (0, 1):
        name = shard_path(here, TEACHER, small.shards[index].digest).name
        assert (there / name).read_bytes() == (here / name).read_bytes()
    # Shards that are not to be scored whole are not taken from where they are.
    for folder in (here, there):
        assert copy_scores(large, [0, 1, 2], tmp_path, [folder], TEACHER, 6) == [1, 2]
