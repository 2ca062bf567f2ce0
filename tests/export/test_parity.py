"""What a graph may lose, and how it is told."""

from __future__ import annotations

import numpy as np

from tmkd.export.parity import CheckSet, compare, fp32_faults, int8_faults

CHECKS = CheckSet("test", ["q"] * 4, ["p"] * 4, np.array([1, 0, -1, 1]), ["a", "a", "b", "b"])
YES = np.array([0.9, 0.2, 0.6, 0.8])


def both(yes: np.ndarray) -> np.ndarray:
    return np.stack([1 - yes, yes], axis=1)


def test_the_same_probabilities_have_no_fault() -> None:
    report = compare(both(YES), both(YES), CHECKS, 1)
    assert (report["max_difference"], report["kendall_tau"], report["top_1_agreement"]) == (0.0, 1.0, 1.0)
    assert report["accuracy_before"] == report["accuracy_after"] == 1.0
    assert fp32_faults(report) == int8_faults(report) == []


def test_every_loss_is_named_with_its_size() -> None:
    report = compare(both(YES), both(np.array([0.1, 0.2, 0.8, 0.6])), CHECKS, 1)
    assert report["accuracy_after"] == 2 / 3
    assert report["top_1_agreement"] == 0.0
    accuracy, tau, top = int8_faults(report)
    assert "33.33 points of accuracy" in accuracy
    assert "Kendall's tau" in tau
    assert "100.0 % of questions" in top
    assert "8.0e-01" in fp32_faults(report)[0]


def test_a_set_without_labels_or_groups_has_no_accuracy_and_no_first_places() -> None:
    bare = CheckSet("bare", ["q"] * 4, ["p"] * 4, np.full(4, -1), list("abcd"))
    report = compare(both(YES), both(YES), bare, 1)
    assert (report["accuracy_before"], report["accuracy_after"], report["top_1_agreement"]) == (None, None, None)
    assert int8_faults(report) == []
