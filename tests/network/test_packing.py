from __future__ import annotations

import pytest
import torch

from tmkd.network.packing import Packing

MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])
STATES = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[7.0, 8.0], [9.0, 9.0], [9.0, 9.0]]])


def test_packed_states_are_those_of_real_tokens() -> None:
    packing = Packing.of(MASK)
    packed = packing.pack(STATES)
    assert packed[: packing.tokens].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert packed[packing.firsts].tolist() == [[1, 2], [7, 8]]


def test_padded_states_are_zero_at_the_padding() -> None:
    packing = Packing.of(MASK)
    padded = packing.pad(packing.pack(STATES))
    assert padded.tolist() == [[[1, 2], [3, 4], [5, 6]], [[7, 8], [0, 0], [0, 0]]]


@pytest.mark.parametrize(("tokens", "rows"), [(31, 32), (32, 32), (33, 64)])
def test_rows_are_filled_up_to_a_multiple(tokens: int, rows: int) -> None:
    packing = Packing.of(torch.ones(1, tokens, dtype=torch.int64))
    assert (packing.tokens, len(packing.pack(torch.zeros(1, tokens, 2)))) == (tokens, rows)


def test_gradients_come_from_real_tokens_alone() -> None:
    states = STATES.clone().requires_grad_()
    packing = Packing.of(MASK)
    torch.autograd.backward(packing.pad(packing.pack(states)).sum())
    assert states.grad is not None
    assert states.grad[..., 0].tolist() == [[1, 1, 1], [1, 0, 0]]
