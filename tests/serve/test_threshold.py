from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.serve.threshold import NEVER, Threshold, find_threshold

SCORES = np.array([0.9, 0.2, 0.7, 0.5, 0.5], dtype=np.float32)
RELEVANT = np.array([True, False, True, True, False])


@pytest.mark.parametrize(
    ("precision", "found"),
    [
        (1.0, (0.7, 1.0, 2 / 3)),
        (0.75, (0.5, 0.75, 1.0)),
        (0.6, (0.2, 0.6, 1.0)),
        (0.1, (0.2, 0.6, 1.0)),
    ],
)
def test_the_smallest_score_with_the_precision(precision: float, found: tuple[float, float, float]) -> None:
    assert find_threshold(precision, SCORES, RELEVANT) == pytest.approx(found)


def test_equal_scores_are_answers_together() -> None:
    scores = np.array([0.5, 0.5], dtype=np.float32)
    assert find_threshold(1.0, scores, np.array([True, False])) == (NEVER, 0.5, 0.0)


@pytest.mark.parametrize("pairs", [0, 3])
def test_without_such_a_score_nothing_is_an_answer(pairs: int) -> None:
    assert find_threshold(0.9, SCORES[:pairs], np.zeros(pairs, bool)) == Threshold(NEVER, 0.0, 0.0)


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.5, 0.75]), st.booleans()), max_size=12),
    st.floats(0.01, 1.0),
)
def test_no_smaller_score_has_the_precision(pairs: list[tuple[float, bool]], precision: float) -> None:
    scores = np.array([score for score, _ in pairs], dtype=np.float32)
    relevant = np.array([good for _, good in pairs], dtype=bool)
    good_enough = [score for score in {*scores.tolist()} if relevant[scores >= score].mean() >= precision]
    assert find_threshold(precision, scores, relevant).score == min(good_enough, default=NEVER)
