"""Accuracy on a dev set, measured between two epochs."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tmkd.data.pairs import Corpus
from tmkd.data.text import PairTokenizer
from tmkd.metrics.quality import accuracy
from tmkd.network.scoring import batched_logits
from tmkd.train.hardware import Hardware


def dev_accuracy(
    logits: Callable[[dict[str, Tensor]], Tensor], dev: Corpus, tokenizer: PairTokenizer, hardware: Hardware
) -> Callable[[], float]:
    """Function that measures a model's accuracy on `dev`, which is tokenised here, once.

    `logits` maps a batch (input_ids, attention_mask, token_type_ids: int64 (pairs, longest)) to (pairs, classes).
    """
    table, labels = dev.table(), dev.label_array()
    tokens = tokenizer.encode(table["question"].to_pylist(), table["passage"].to_pylist())
    pad_id = tokenizer.settings.pad_id

    def measure() -> float:
        return accuracy(batched_logits(logits, tokens, pad_id, hardware.device, hardware.precision), labels)

    return measure
