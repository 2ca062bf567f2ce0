"""Score of a model on a dev set, measured between two epochs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from torch import Tensor

from tmkd.data.pairs import Corpus
from tmkd.data.text import PairTokenizer
from tmkd.data.tokens import TokenIds
from tmkd.metrics.quality import accuracy, cross_entropy
from tmkd.network.scoring import batched_logits
from tmkd.recipe.fit import Keep
from tmkd.train.hardware import Hardware


def dev_score(
    logits: Callable[[dict[str, Tensor]], Tensor], dev: Corpus, tokenizer: PairTokenizer, hardware: Hardware, by: Keep
) -> Callable[[], float]:
    """Function that measures a model on `dev`, which its first call tokenises: the higher its score, the better.

    `logits` maps a batch (input_ids, attention_mask, token_type_ids: int64 (pairs, longest)) to (pairs, classes). The
    score is the accuracy, a share, or the negative of the mean cross-entropy in nats.
    """

    @cache
    def read() -> tuple[TokenIds, np.ndarray]:
        table = dev.table()
        return tokenizer.encode(table["question"].to_pylist(), table["passage"].to_pylist()), dev.label_array()

    def measure() -> float:
        tokens, labels = read()
        found = batched_logits(logits, tokens, tokenizer.settings.pad_id, hardware.device, hardware.precision)
        return accuracy(found, labels) if by == "accuracy" else -cross_entropy(found, labels)

    return measure
