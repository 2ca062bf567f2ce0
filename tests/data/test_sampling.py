"""Exponential samples from digests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tmkd.data.sampling import exponential
from tmkd.store import digest_bytes


def test_the_first_13_digits_are_a_uniform_number_whose_logarithm_is_taken() -> None:
    assert exponential("f" * 32) == 0.0
    assert exponential("0" * 32) == pytest.approx(52 * math.log(2))
    assert exponential("7ffffffffffff" + "a" * 9) == pytest.approx(math.log(2))


def test_samples_of_many_digests_have_mean_and_deviation_1() -> None:
    samples = np.array([exponential(digest_bytes(str(number).encode())) for number in range(20_000)])
    assert samples.mean() == pytest.approx(1, abs=0.03)
    assert samples.std() == pytest.approx(1, abs=0.03)


def test_an_item_of_three_times_the_weight_is_drawn_first_three_times_as_often() -> None:
    def key(item: str, draw: int) -> float:
        return exponential(digest_bytes(f"{item} {draw}".encode()))

    first = sum(key("heavy", draw) / 3 < key("light", draw) for draw in range(10_000))
    assert first / 10_000 == pytest.approx(0.75, abs=0.02)
