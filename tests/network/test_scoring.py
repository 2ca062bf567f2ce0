from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tiny_fit
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.network.bilstm import BiLSTM, BiLSTMConfig
from tmkd.network.scoring import TOKEN_BUDGET, batched_logits, bf16_copy, network_logits

RNG = np.random.default_rng(0)
IDS = [RNG.integers(1, 50, length) for length in (7, 900, 3, 900, 5, 700, 1)]
TOKENS = TokenIds.of(IDS, [np.zeros_like(ids) for ids in IDS])


def test_outputs_come_in_the_order_of_the_pairs_from_batches_within_the_budget() -> None:
    shapes, done = list[tuple[int, ...]](), list[int]()

    def forward(inputs: dict[str, Tensor]) -> Tensor:
        shapes.append(tuple(inputs["input_ids"].shape))
        assert not inputs["input_ids"][inputs["attention_mask"] == 0].any()  # padded with pad_id
        return torch.stack([inputs["input_ids"].sum(dim=1), inputs["attention_mask"].sum(dim=1)], dim=1)

    outputs = batched_logits(forward, TOKENS, 0, "cpu", "fp32", done.append)
    assert outputs.dtype == np.dtype(np.float32)
    assert outputs.tolist() == [[ids.sum(), len(ids)] for ids in IDS]
    assert len(shapes) > 1
    assert all(pairs * longest <= TOKEN_BUDGET for pairs, longest in shapes)
    assert done == [pairs for pairs, _ in shapes]


def test_bf16_is_used_for_products_only_if_asked_for() -> None:
    kinds = list[torch.dtype]()

    def forward(inputs: dict[str, Tensor]) -> Tensor:
        product = torch.ones(len(inputs["input_ids"]), 3) @ torch.ones(3, 2)
        kinds.append(product.dtype)
        assert torch.is_inference_mode_enabled()
        return product

    some = TOKENS.take([0, 2])
    for precision in ("bf16", "fp32"):
        assert batched_logits(forward, some, 0, "cpu", precision).tolist() == [[3, 3], [3, 3]]
    assert kinds == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("start", ["bert", "bi-lstm"])
def test_a_copy_in_bf16_scores_alike_with_the_headers_in_float32(start: str) -> None:
    student = tiny_fit.student(3, layers=2).eval()
    if start == "bi-lstm":
        student.encoder = BiLSTM(BiLSTMConfig(vocab_size=40, embedding_size=16, hidden_size=16)).eval()
    copied: Any = bf16_copy(student)
    assert {weight.dtype for weight in copied.encoder.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in copied.headers.parameters()} == {torch.float32}
    assert {weight.dtype for weight in student.parameters()} == {torch.float32}
    exact, rounded = (
        network_logits(network, tiny_fit.header_logits, tiny_fit.TOKENS, 0, "cpu", "fp32")
        for network in (student, copied)
    )
    assert 0 < np.abs(rounded - exact).max() < 2e-2 * np.ptp(exact)


def out_of_memory_above(pairs: int) -> Callable[[dict[str, Tensor]], Tensor]:
    def forward(inputs: dict[str, Tensor]) -> Tensor:
        if len(inputs["input_ids"]) > pairs:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inputs["input_ids"].sum(dim=1)

    return forward


def test_out_of_memory_halves_all_batches_that_wait_and_the_outputs_stay(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [np.full(4, number) for number in range(1200)]
    tokens, done = TokenIds.of(ids, ids), list[int]()
    outputs = batched_logits(out_of_memory_above(200), tokens, 0, "cpu", "fp32", done.append)
    assert outputs.tolist() == [4 * number for number in range(1200)]
    assert done == [128] * 8 + [44] * 4
    assert capsys.readouterr().err.splitlines() == [
        "out of memory: batches of 512 pairs are halved",
        "out of memory: batches of 256 pairs are halved",
    ]


def test_a_device_that_does_not_hold_one_pair_is_an_error() -> None:
    with pytest.raises(TmkdError, match="does not hold one pair; set device: cpu"):
        batched_logits(out_of_memory_above(0), TOKENS, 0, "cpu", "fp32")
