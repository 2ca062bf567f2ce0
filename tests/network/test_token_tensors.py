from __future__ import annotations

import numpy as np
import pytest

from tmkd.data.tokens import TokenIds
from tmkd.network import token_tensors
from tmkd.network.token_tensors import TokenTensors

RNG = np.random.default_rng(0)
IDS = [RNG.integers(1, 50, length) for length in (7, 3, 9, 1)]
TOKENS = TokenIds.of(IDS, [ids % 2 for ids in IDS])


@pytest.mark.parametrize("pairs", [[0, 1, 2, 3], [3, 1], [2], [1, 1]])
def test_a_batch_is_what_the_processor_pads(pairs: list[int]) -> None:
    padded = TokenTensors.of(TOKENS, 13, "cpu").pad(np.array(pairs))
    expected = TOKENS.pad(pairs, 13)
    assert padded.keys() == expected.keys()
    for name, array in expected.items():
        assert padded[name].numpy().dtype == np.int64
        assert np.array_equal(padded[name].numpy(), array)


def test_a_length_is_rounded_up_with_more_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_tensors, "length_multiple", lambda device: 8)
    tokens = TokenTensors.of(TOKENS, 13, "cpu")
    for pairs, length in (([0, 1], 8), ([2], 16), ([3], 8)):
        padded, expected = tokens.pad(np.array(pairs)), TOKENS.pad(pairs, 13)
        for name, filler in (("input_ids", 13), ("attention_mask", 0), ("token_type_ids", 0)):
            assert padded[name].shape == (len(pairs), length)
            longest = expected[name].shape[1]
            assert np.array_equal(padded[name][:, :longest].numpy(), expected[name])
            assert (padded[name][:, longest:] == filler).all()
