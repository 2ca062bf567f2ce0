"""Four fixed id sequences and their fp32 log-odds: each engine is compared with them when a bundle is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tmkd.data.text import PairTokenizer
from tmkd.data.tokens import TokenIds

FP32_LIMIT = 1e-3  # largest difference of a log-odds in fp32
# Smallest and largest limit of an int8 engine. The smallest is twice the largest difference of the demo's student, .012
# (docs/log.md): another processor may round otherwise even where a network's own differences are smaller.
INT8_LIMITS = (0.025, 1.0)
_LENGTHS = (5, 17)  # and the longest; 17 is one more than the kernel's tiles


@dataclass(frozen=True, slots=True)
class CheckSequences:
    """Token ids and types of each sequence, its log-odds of each class in fp32, and the limit of int8 engines."""

    ids: tuple[tuple[int, ...], ...]
    types: tuple[tuple[int, ...], ...]
    log_odds: tuple[tuple[float, ...], ...]
    int8_limit: float

    @property
    def tokens(self) -> TokenIds:
        """The sequences as a batch."""
        ids, types = ([np.array(one, dtype=np.int32) for one in rows] for rows in (self.ids, self.types))
        return TokenIds.of(ids, types)

    def difference(self, logits: npt.NDArray[np.float32]) -> float:
        """Largest difference of a log-odds; NaN where a logit is."""
        return float(np.abs(log_odds(logits) - np.array(self.log_odds)).max())


def check_tokens(tokenizer: PairTokenizer, words: int) -> TokenIds:
    """The four sequences: short, 17 ids, the longest, special tokens only; the others are spread over all `words` ids.

    The first and the last id of each is a special token, as in a pair.
    """
    special = tokenizer.encode([""], [""])
    typed = int(tokenizer.settings.type_ids)
    ids, types = [], []
    for length in (*_LENGTHS, tokenizer.settings.max_length):
        length = max(min(length, tokenizer.settings.max_length), 2)
        one = np.arange(1, length + 1, dtype=np.int64) * 2_654_435_761 % words  # Knuth's multiplier: any id, no order
        if len(special.flat_ids):
            one[[0, -1]] = special.flat_ids[[0, -1]]
        ids.append(one)
        types.append(np.arange(length) * 2 // length * typed)
    if len(special.flat_ids):
        ids.append(special.flat_ids)
        types.append(special.flat_types)
    return TokenIds.of(ids, types)


def check_sequences(
    tokens: TokenIds, fp32: npt.NDArray[np.float32], int8: Sequence[npt.NDArray[np.float32]]
) -> CheckSequences:
    """Sequences with their fp32 logits; int8 engines may differ by twice the largest difference that these show."""
    exact = log_odds(fp32)
    largest = max((float(np.abs(log_odds(one) - exact).max()) for one in int8), default=0.0)
    return CheckSequences(
        ids=tuple(tuple(one.tolist()) for one in tokens.ids),
        types=tuple(tuple(one.tolist()) for one in tokens.types),
        log_odds=tuple(tuple(row) for row in exact.tolist()),
        int8_limit=float(np.clip(2 * largest, *INT8_LIMITS)),
    )


def log_odds(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Log-odds of each class, log p/(1−p), float64 (pairs, classes), from the logarithms of the probabilities."""
    exact = logits.astype(np.float64)
    others = [np.logaddexp.reduce(np.delete(exact, one, axis=1), axis=1) for one in range(exact.shape[1])]
    difference: npt.NDArray[np.float64] = exact - np.stack(others, axis=1)
    return difference
