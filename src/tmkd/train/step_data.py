"""Pairs of an optimiser step on their device, prepared while the step before them trains."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tmkd import ranks
from tmkd.network.device import CUDA, on_device
from tmkd.network.token_tensors import TokenTensors
from tmkd.train.batches import BatchPlan, Examples
from tmkd.train.shares import Share


@dataclass(frozen=True, eq=False)
class StepData:
    """Pairs of one optimiser step that this rank trains on, with their targets, as tensors on its device.

    labels int64 (pairs,); soft float32 (pairs, headers, classes) raw logits, or None.
    """

    share: Share
    tokens: TokenTensors
    labels: Tensor
    soft: Tensor | None

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, examples: Examples, share: Share, device: str) -> Self:
        """Copy the share's rows of the examples to a device, without waiting for it."""
        rows = share.rows
        soft = None if examples.soft is None else on_device(examples.soft[rows], device)
        tokens = TokenTensors.of(examples.tokens.take(rows), examples.pad_id, device)
        return cls(share, tokens, on_device(examples.labels[rows].astype(np.int64), device), soft)


class StepQueue:
    """This rank's data of each optimiser step of a plan; a thread prepares the step after the one asked for."""

    def __init__(self, examples: Examples, plan: BatchPlan, device: str) -> None:
        self._examples, self._plan, self._device = examples, plan, device
        self._thread = ThreadPoolExecutor(1)
        if device == CUDA:  # a new thread works on the first one, whatever this one's is
            self._thread.submit(torch.cuda.set_device, torch.cuda.current_device())
        self._ahead: tuple[int, Future[StepData]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self, step: int) -> StepData:
        """The data of a step, numbered from 0, and the start of preparing the next one."""
        if self._ahead is None or self._ahead[0] != step:
            self._prepare(step)
        assert self._ahead is not None
        data = self._ahead[1].result()
        if step + 1 < len(self._plan):
            self._prepare(step + 1)
        return data

    def _prepare(self, step: int) -> None:
        self._ahead = step, self._thread.submit(self._data, step)

    def _data(self, step: int) -> StepData:
        lengths = self._examples.tokens.lengths
        share = Share.of(self._plan[step], lengths, ranks.rank(), ranks.count())
        return StepData.of(self._examples, share, self._device)
