"""What a graph may lose, and how it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tmkd.export.parity import CheckSet, check_set, compare, fp32_faults, int8_faults

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


@pytest.mark.parametrize(
    ("graph", "number", "allowed", "refused"),
    [
        ("fp32", "max_difference", 0.0001, 0.000101),
        ("int8", "accuracy_after", 0.897, 0.8969),  # of 0.9 before
        ("int8", "kendall_tau", 0.95, 0.9499),
        ("int8", "top_1_agreement", 0.98, 0.9799),
    ],
)
def test_each_limit_is_allowed_and_anything_beyond_it_refused(
    graph: str, number: str, allowed: float, refused: float
) -> None:
    report: dict[str, Any] = {
        "set": "test", "max_difference": 0.0, "accuracy_before": 0.9, "accuracy_after": 0.9, "kendall_tau": 1.0,
        "top_1_agreement": 1.0,
    }  # fmt: skip
    faults = {"fp32": fp32_faults, "int8": int8_faults}[graph]
    assert faults({**report, number: allowed}) == []
    (fault,) = faults({**report, number: refused})
    assert fault.startswith("test: ")


def test_the_numbers_of_a_comparison_worked_by_hand() -> None:
    # Of six couples two are turned round (0.9 and 0.8, 0.2 and 0.6), none of them within a group: tau is (4 - 2) / 6.
    report = compare(both(YES), both(np.array([0.75, 0.55, 0.4, 0.85])), CHECKS, 1)
    assert report["pairs"] == 4
    assert report["max_difference"] == pytest.approx(0.35)
    assert report["mean_difference"] == pytest.approx((0.15 + 0.35 + 0.2 + 0.05) / 4)
    assert report["kendall_tau"] == pytest.approx(1 / 3)
    assert report["kendall_tau_in_groups"] == report["top_1_agreement"] == 1.0
    assert (report["accuracy_before"], report["accuracy_after"]) == (1.0, pytest.approx(2 / 3))


def test_first_places_are_of_the_positive_class() -> None:
    # 0.9, 0.2 / 0.6, 0.8 of the first class against the same with the second group turned round.
    one, other = both(1 - YES), both(1 - np.array([0.9, 0.2, 0.8, 0.6]))
    assert compare(one, other, CHECKS, 0)["top_1_agreement"] == 0.5
    three = np.array([[0.1, 0.9, 0.0], [0.2, 0.8, 0.0], [0.5, 0.1, 0.4], [0.4, 0.5, 0.1]])
    changed = three[:, [0, 2, 1]]  # the other two classes swapped
    assert compare(three, changed, CHECKS, 0)["top_1_agreement"] == 1.0
    assert compare(three, changed, CHECKS, 1)["top_1_agreement"] < 1.0


def test_a_table_is_a_set_to_check_with() -> None:
    from tmkd.data.pairs import pair_table

    table = pair_table(["q", "r"], ["p", "s"], [1, None], "rows.tsv", ["one", "two"])
    checks = check_set("test", table)
    assert (checks.name, checks.questions, checks.passages) == ("test", ["q", "r"], ["p", "s"])
    assert (checks.labels.tolist(), checks.groups) == ([1, -1], ["one", "two"])
