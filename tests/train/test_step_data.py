from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_fit import BOTH, GOLDEN, LABELS, PAIRS, SOFT, TOKENS
from tmkd import ranks
from tmkd.data.token_store import AppendedFiles, MappedTokens, map_array
from tmkd.train.batches import BatchPlan, Examples
from tmkd.train.shares import Share
from tmkd.train.step_data import StepData, StepQueue

PLAN = BatchPlan(PAIRS, batch=6, epochs=2, seed=1)


def whole(rows: np.ndarray) -> Share:
    """Share of the only rank."""
    return Share(rows, len(rows), 1)


def test_a_step_has_the_ids_labels_and_logits_of_its_rows() -> None:
    rows = np.array([4, 0, 9])
    data = StepData.of(BOTH, whole(rows), "cpu")
    assert len(data) == 3
    for name, array in TOKENS.pad(rows, 0).items():
        assert np.array_equal(data.tokens.pad(np.arange(3))[name].numpy(), array)
    assert np.array_equal(data.labels.numpy(), BOTH.labels[rows])
    assert BOTH.soft is not None
    assert data.soft is not None
    assert np.array_equal(data.soft.numpy(), BOTH.soft[rows])
    assert StepData.of(GOLDEN, whole(rows), "cpu").soft is None


def test_the_rows_of_a_step_may_lie_anywhere_on_disk(tmp_path: Path) -> None:
    files = {"ids": np.int32, "types": np.int8, "labels": np.int8, "soft": np.float32}
    with AppendedFiles(tmp_path, files, {}, "examples") as appended:
        appended.append(ids=TOKENS.flat_ids, types=TOKENS.flat_types, labels=LABELS, soft=SOFT)
    ids, types, labels = (map_array(tmp_path, name, files[name]) for name in ("ids", "types", "labels"))
    chosen = np.arange(PAIRS)[::-2]  # another order, and some left out
    tokens = MappedTokens(ids, types, TOKENS.starts[chosen], TOKENS.lengths[chosen])
    soft = map_array(tmp_path, "soft", np.float32, SOFT.shape)
    mapped = StepData.of(Examples(tokens, labels[chosen], 0, soft[chosen]), whole(np.array([0, 3, 1])), "cpu")
    expected = StepData.of(BOTH, whole(chosen[[0, 3, 1]]), "cpu")
    assert torch.equal(mapped.labels, expected.labels)
    assert mapped.labels.dtype == torch.int64
    assert mapped.soft is not None
    assert expected.soft is not None
    assert torch.equal(mapped.soft, expected.soft)
    for name, tensor in expected.tokens.pad(np.arange(3)).items():
        assert torch.equal(mapped.tokens.pad(np.arange(3))[name], tensor)


@pytest.mark.parametrize("first", [0, 3])
def test_steps_come_in_the_order_of_the_plan_from_any_step_on(first: int) -> None:
    with StepQueue(GOLDEN, PLAN, "cpu") as queue:
        for step in range(first, len(PLAN)):
            assert np.array_equal(queue.take(step).labels.numpy(), GOLDEN.labels[PLAN[step]])


def test_the_next_step_is_prepared_by_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared, names = threading.Event(), list[str]()
    of = StepData.of

    def seen(*arguments: object) -> StepData:
        names.append(threading.current_thread().name)
        if len(names) == 2:
            prepared.set()
        return of(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(StepData, "of", seen)
    with StepQueue(GOLDEN, PLAN, "cpu") as queue:
        queue.take(0)
        assert prepared.wait(10)
    assert threading.current_thread().name not in names
    assert len(names) == 2


class Broken(BatchPlan):
    def __getitem__(self, step: int) -> np.ndarray:
        if step == 2:
            raise OSError("the disk is gone")
        return super().__getitem__(step)


def test_a_failure_in_the_thread_is_raised_at_its_step() -> None:
    with StepQueue(GOLDEN, Broken(PAIRS, batch=6, epochs=2, seed=1), "cpu") as queue:
        queue.take(0)
        queue.take(1)
        with pytest.raises(OSError, match="the disk is gone"):
            queue.take(2)


def test_a_ranks_queue_has_its_share_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "count", lambda: 2)
    monkeypatch.setattr(ranks, "rank", lambda: 1)
    with StepQueue(GOLDEN, PLAN, "cpu") as queue:
        for step in range(len(PLAN)):
            data, rows = queue.take(step), PLAN[step]
            own = rows[np.argsort(TOKENS.lengths[rows], kind="stable")][1::2]
            assert np.array_equal(data.labels.numpy(), GOLDEN.labels[own])
            assert np.array_equal(data.tokens.tokens.flat_ids, TOKENS.take(own).flat_ids)
            assert (data.share.total, data.share.ranks) == (len(rows), 2)
