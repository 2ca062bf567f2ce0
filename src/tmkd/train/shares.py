"""Share of an optimiser step: the pairs that one of several ranks trains on, and what their losses weigh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Share:
    """Rows of a step that a rank trains on, int64 (pairs,), at least one; the step has `total` pairs on all ranks.

    DistributedDataParallel takes the mean of the ranks' gradients. So the loss of a pair weighs `ranks` / `total`: the
    mean is then the gradient of the mean loss of the step's pairs, however they are dealt out. A rank that none is left
    for trains on one of another rank's, whose loss weighs 0: it has to take part in the reduction.
    """

    rows: Ints
    total: int
    ranks: int

    @classmethod
    def of(cls, step: Ints, lengths: npt.NDArray[np.integer], rank: int, ranks: int) -> Share:
        """Share of a rank in the rows of a step; `lengths` are the token ids of each pair of the examples.

        Rows are dealt out in the order of their lengths, so that no rank waits long for another.
        """
        if ranks == 1:
            return cls(step, len(step), 1)
        own = step[np.argsort(lengths[step], kind="stable")][rank::ranks]
        return cls(own, len(step), ranks) if len(own) else cls(step[:1], len(step), 0)
