"""What a graph may lose, and how it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tmkd.export.parity import POOLED, CheckSet, check_set, compare, fp32_faults, int8_faults, pooled

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
    accuracy, tau, within, top = int8_faults(report)
    assert "33.33 points of accuracy" in accuracy
    assert "Kendall's tau 0" in tau or "Kendall's tau -" in tau
    assert "Kendall's tau within questions -1.000" in within
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
        ("int8", "kendall_tau_in_groups", 0.95, 0.9499),
        ("int8", "top_1_agreement", 0.98, 0.9799),
    ],
)
def test_each_limit_is_allowed_and_anything_beyond_it_refused(
    graph: str, number: str, allowed: float, refused: float
) -> None:
    report: dict[str, Any] = {
        "set": "test", "max_difference": 0.0, "accuracy_before": 0.9, "accuracy_after": 0.9, "kendall_tau": 1.0,
        "top_1_agreement": 1.0, "questions": 500, "kendall_tau_in_groups": 1.0, "top_1_interval": [0.0, 1.0],
        "kendall_tau_in_groups_interval": [-1.0, 1.0],
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


def measures(questions: int, changed: int) -> dict[str, Any]:
    """Comparison on questions of two passages, in some of which these change places."""
    yes = np.tile([0.9, 0.1], questions)
    other = yes.copy()
    other[: 2 * changed] = np.tile([0.1, 0.9], changed)
    groups = [str(number) for number in range(questions) for _ in range(2)]
    checks = CheckSet("test", groups, groups, np.full(len(yes), -1), groups)
    return {**compare(both(yes), both(other), checks, 1), "kendall_tau": 1.0}


def test_few_questions_are_a_fault_only_where_their_interval_lies_below_the_limit() -> None:
    assert int8_faults(measures(54, 3)) == []  # 94.4 %, by chance of a true 98 %
    assert len(int8_faults(measures(54, 8))) == 2
    assert int8_faults(measures(500, 10)) == []
    (fault,) = int8_faults(measures(500, 11))
    assert fault == "test: another first passage for 2.2 % of questions, over 2 %"
    assert len(int8_faults(measures(500, 13))) == 2  # tau within questions is 1 - 2 * 13 / 500


def test_intervals_worked_by_hand() -> None:
    report = measures(100, 4)
    assert report["questions"] == 100
    # Wilson's: (p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    assert report["top_1_interval"] == pytest.approx([0.9016, 0.9843], abs=1e-4)
    error = 2 * (0.96 * 0.04 / 99) ** 0.5
    assert report["kendall_tau_in_groups_interval"] == pytest.approx(
        [0.92 - 1.96 * error, 0.92 + 1.96 * error], abs=1e-4
    )
    none = compare(both(YES), both(YES), CheckSet("bare", ["q"] * 4, ["p"] * 4, np.full(4, -1), list("abcd")), 1)
    assert (none["questions"], none["top_1_interval"], none["kendall_tau_in_groups_interval"]) == (0, None, None)


def test_a_pool_keeps_the_groups_of_its_sets_apart() -> None:
    other = CheckSet("other", ["r"] * 2, ["s"] * 2, np.array([0, -1]), ["a", "a"])
    (first, place), (second, after), (pool, whole) = pooled([CHECKS, other])
    assert (first, second, pool.name) == (CHECKS, other, POOLED)
    assert (place, after, whole) == (slice(0, 4), slice(4, 6), slice(0, 6))
    assert pool.labels.tolist() == [1, 0, -1, 1, 0, -1]
    assert len(set(pool.groups)) == 3
    assert pooled([CHECKS]) == [(CHECKS, slice(0, 4))]
