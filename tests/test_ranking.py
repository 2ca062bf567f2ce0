from __future__ import annotations

import numpy as np
import pytest

from tmkd.data.labels import LabelSet
from tmkd.ranking import predictions, ranking

TWO, THREE = LabelSet("toy", ("yes", "no"), "yes"), LabelSet("nli", ("no", "maybe", "yes"), "yes")
PROBABILITIES = np.array([[0.5, 0.5], [0.125, 0.875], [0.75, 0.25], [0.5, 0.5]], dtype=np.float32)
PASSAGES = ["a", "b", "c", "d"]


def test_of_two_classes_the_positive_ones_probability_is_predicted() -> None:
    found = predictions(PROBABILITIES, TWO)
    assert found.dtype == np.dtype(np.float32)
    assert found.tolist() == [0.5, 0.125, 0.75, 0.5]


def test_of_three_classes_the_likeliest_ones_index_is_predicted() -> None:
    found = predictions(np.array([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]], dtype=np.float32), THREE)
    assert found.dtype == np.dtype(np.int64)
    assert found.tolist() == [1, 2]


def test_passages_come_by_the_positive_classs_probability_and_equals_in_their_order() -> None:
    assert ranking(PROBABILITIES, TWO, PASSAGES) == [
        {"corpus_id": 2, "score": 0.75},
        {"corpus_id": 0, "score": 0.5},
        {"corpus_id": 3, "score": 0.5},
        {"corpus_id": 1, "score": 0.125},
    ]


@pytest.mark.parametrize(("top_k", "texts"), [(0, []), (2, ["c", "a"]), (9, ["c", "a", "d", "b"])])
def test_only_the_best_are_kept_with_their_texts(top_k: int, texts: list[str]) -> None:
    assert [one["text"] for one in ranking(PROBABILITIES, TWO, PASSAGES, top_k, return_documents=True)] == texts


def test_no_passages_are_an_empty_ranking() -> None:
    assert ranking(np.empty((0, 2), dtype=np.float32), TWO, []) == []
