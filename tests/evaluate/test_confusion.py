"""Confusion of classes over seeds, and the pairs on which two models differ most."""

from __future__ import annotations

import numpy as np

from tmkd.evaluate.confusion import confusion, disagreements
from tmkd.evaluate.measures import LabelledSet

TEST = LabelledSet("nli", "test", ("a", "b", "c"), 0, np.array([0, 0, 1, 2]), ("1", "2", "3", "4"))


def predicting(*classes: int) -> np.ndarray:
    return 0.7 * np.eye(3)[list(classes)] + 0.1


def test_pairs_are_counted_by_label_and_predicted_class() -> None:
    assert confusion([predicting(0, 1, 1, 0)], TEST).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_counts_are_the_mean_over_seeds() -> None:
    found = confusion([predicting(0, 1, 1, 0), predicting(0, 0, 1, 2)], TEST)
    assert found.tolist() == [[1.5, 0.5, 0], [0, 1, 0], [0.5, 0, 0.5]]


def test_the_largest_distances_come_first_and_equals_in_order() -> None:
    one = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.5, 0.5]])
    other = np.array([[0.5, 0.5], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]])
    assert disagreements(one, other, 3) == [(2, 0.5), (0, 0.25), (3, 0.25)]


def test_of_three_classes_the_distance_is_half_the_sum_of_differences() -> None:
    assert disagreements(np.array([[0.75, 0.25, 0.0]]), np.array([[0.25, 0.25, 0.5]]), 5) == [(0, 0.5)]
