from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from tmkd import machine
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import SoftLabels, TeacherColumn, shard_path
from tmkd.engines.local import LocalEngine
from tmkd.errors import TmkdError
from tmkd.teachers.network import TeacherNetwork, load
from tmkd.teachers.score import Opener, Scored, copy_scores, price_of_precision, remove_stale, score_shards, unscored
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
    facts = score_shards(
        Opener(lambda: teacher), corpus, todo, folder, TEACHER, LocalEngine(), lambda *now: told.append(now)
    )
    pairs = facts["scored_now"]
    assert pairs == sum(corpus.shards[index].rows for index in todo)
    assert told[-1] == (pairs, pairs)
    return todo


def test_logits_lie_in_the_pairs_order(teacher: TeacherNetwork, corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    pairs = corpus(tiny.pairs(range(5)), shard_rows=4)
    assert score(teacher, pairs, tmp_path) == [0, 1, 2]
    soft = SoftLabels.load(pairs, [TeacherColumn("t", TEACHER, tmp_path)])
    questions, passages, _ = zip(*tiny.pairs(range(5)), strict=True)
    np.testing.assert_allclose(soft.logits[:, 0], teacher.logits(questions, passages), atol=1e-5)


def opened(folder: Path) -> TeacherNetwork:
    return load(folder, LABELS, {}, 32, Hardware("cpu", "bf16"), "t")


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_with_a_thread_each_gives_the_same_bytes(
    ready_made: Callable[..., Path],
    corpus: Callable[..., Corpus],
    tmp_path: Path,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_available_cores", lambda: workers)
    pairs, opener = corpus(tiny.pairs(range(20)), shard_rows=4), Opener(partial(opened, ready_made("bert")))
    facts, told = [], list[tuple[int, int]]()
    for name, engine in (("one", LocalEngine()), ("several", LocalEngine(workers))):
        (tmp_path / name).mkdir()
        facts.append(
            score_shards(opener, pairs, range(10), tmp_path / name, TEACHER, engine, lambda *now: told.append(now))
        )
        assert told[-1] == (40, 40)
    assert facts[0] == facts[1]
    assert facts[0]["bf16_largest_difference"] > 0
    one, several = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "several")
    )
    assert len(one) == 10
    assert one == several


def test_workers_in_different_precisions_are_refused(corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    class Mixed:
        def check(self) -> None: ...

        def map(self, work: Any, pieces: Iterable[Any], most: int) -> Iterator[tuple[int, Any]]:
            yield from enumerate([Scored("bf16", {}), Scored("fp32", {})])

    def never() -> TeacherNetwork:
        raise AssertionError("opened by workers alone")

    pairs = corpus(tiny.pairs(range(4)), shard_rows=4)
    with pytest.raises(TmkdError, match="workers score in bf16 and fp32; set precision to one of them in the recipe"):
        score_shards(Opener(never), pairs, [0, 1], tmp_path, TEACHER, Mixed(), lambda *now: None)


@pytest.mark.skipif(sys.platform != "linux", reason="a process's mappings are listed on Linux only")
def test_the_weights_of_a_teacher_are_mapped_from_their_file(ready_made: Callable[..., Path]) -> None:
    network = opened(ready_made("bert"))
    regions = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if "model.safetensors" in line]
    bounds = [tuple(int(end, 16) for end in region[0].split("-")) for region in regions]
    weights = [weight for name, weight in network.model.named_parameters() if "encoder.layer" in name]
    assert all(any(start <= weight.data_ptr() < end for start, end in bounds) for weight in weights)


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
    facts = score_shards(
        Opener(lambda: teacher), pairs, todo, tmp_path, TEACHER, LocalEngine(), lambda *now: told.append(now), 6
    )
    assert facts == {"scored_now": 6, "precision": "fp32"}
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
