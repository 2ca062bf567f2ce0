"""Pairs with their targets, and the batch plan: the pairs of each optimiser step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tmkd.data.token_store import MappedTokens
from tmkd.data.tokens import TokenIds

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Training examples of one model: token ids, golden labels and, per soft header, the teacher's logits.

    labels (pairs,) of any integers, −1 where there is none; `pad_id` fills batches up; soft float32 (pairs, headers,
    classes) raw logits, or None. All arrays may be mapped from disk: of them only the rows of a step are read.
    """

    tokens: TokenIds | MappedTokens
    labels: npt.NDArray[np.integer]
    pad_id: int
    soft: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)


class BatchPlan:
    """The pairs of every optimiser step of a fit: for each epoch a permutation of its own, cut into batches.

    Item i is the int64 row numbers of step i; the last batch of an epoch may be smaller. `steps` replaces `epochs`: the
    last epoch may then end early. A function of these numbers alone, so that a resumed fit goes on with the same pairs.
    An epoch's permutation is all of a corpus that a fit holds in memory: 4 bytes a pair.
    """

    def __init__(self, pairs: int, batch: int, epochs: int, seed: int, steps: int | None = None) -> None:
        self.pairs, self.batch, self.seed = pairs, batch, seed
        self.per_epoch = -(-pairs // batch)
        self.steps = self.per_epoch * epochs if steps is None else steps
        self._epoch, self._order = -1, np.empty(0, dtype=np.uint32)

    def __len__(self) -> int:
        return self.steps

    @property
    def epochs(self) -> int:
        """Number of epochs, the last one whole or not."""
        return -(-self.steps // self.per_epoch)

    def ended(self, step: int) -> int | None:
        """Number of the epoch, from 1, that ends after this many steps; None within an epoch."""
        return -(-step // self.per_epoch) if step % self.per_epoch == 0 or step == self.steps else None

    def __getitem__(self, step: int) -> Ints:
        if not 0 <= step < len(self):
            raise IndexError(step)
        epoch, within = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            # As `permutation(self.pairs)`, which makes numbers of eight bytes.
            self._epoch, self._order = epoch, np.arange(self.pairs, dtype=np.uint32)
            np.random.default_rng([self.seed, epoch]).shuffle(self._order)
        return self._order[within * self.batch : (within + 1) * self.batch].astype(np.int64)
