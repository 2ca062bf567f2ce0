from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from tmkd.data.pairs import Corpus
from tmkd.data.text import PairTokenizer
from tmkd.data.tokens import TokenIds
from tmkd.train.dev import dev_score
from tmkd.train.hardware import Hardware


class Lengths:
    """A tokenizer that gives as many token ids 1 as the passage has letters, and counts its calls."""

    settings = SimpleNamespace(pad_id=0)
    calls = 0

    def encode(self, questions: list[str], passages: list[str]) -> TokenIds:
        self.calls += 1
        ids = [np.ones(len(passage), dtype=np.int32) for passage in passages]
        return TokenIds.of(ids, [np.zeros_like(one) for one in ids])


def test_accuracy_is_measured_anew_at_each_call_and_tokenised_once(corpus: Callable[..., Corpus]) -> None:
    dev = corpus([("q", "a", "no"), ("q", "aaaa", "yes"), ("q", "aaa", "yes"), ("q", "aa", "yes")])
    limit = 2
    tokenizer = Lengths()

    def logits(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        long = batch["attention_mask"].sum(dim=1) > limit
        return torch.stack([~long, long], dim=1).float()

    given = dev, cast(PairTokenizer, cast(Any, tokenizer)), Hardware("cpu", "fp32")
    measure = dev_score(logits, *given, "accuracy")
    assert measure() == 0.75
    limit = 1
    assert measure() == 1.0
    assert tokenizer.calls == 1
    # By cross-entropy: three pairs are right by a logit of 1, one is wrong by it.
    limit = 2
    right, wrong = np.log1p(np.exp(-1.0)), np.log1p(np.exp(1.0))
    assert dev_score(logits, *given, "cross_entropy")() == pytest.approx(-(3 * right + wrong) / 4)
