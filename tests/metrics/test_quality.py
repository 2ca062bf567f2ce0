"""Measures against numbers worked by hand and against their definitions."""

from __future__ import annotations

import subprocess
import sys
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.metrics.quality import Ranking, accuracy, auc, cross_entropy, ranking

SCORED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30)


def test_accuracy_is_the_share_of_right_classes() -> None:
    assert accuracy([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], [0, 1, 1, 1]) == 0.75


def test_accuracy_takes_any_number_of_classes() -> None:
    assert accuracy([[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]], [2, 1]) == 0.5


def test_the_first_class_wins_a_tie() -> None:
    assert accuracy([[0.5, 0.5]], [0]) == 1.0


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [([[0.5, 0.5]], [0, 1]), (np.empty((0, 2)), []), ([[0.5, 0.5]], [2]), ([[0.5, 0.5]], [-1]), ([[np.nan, 1]], [0])],
)
def test_accuracy_refuses_mismatched_or_invalid_inputs(probabilities: object, labels: object) -> None:
    with pytest.raises(ValueError, match=r"do not go with|outside|NaN"):
        accuracy(probabilities, labels)  # type: ignore[arg-type]


def test_auc_counts_right_orders_and_half_a_tie() -> None:
    # positives .9 and .5, negatives .5 and .1: of four pairs three are in order and one is a tie.
    assert auc([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0]) == 0.875


def test_auc_of_one_class_is_not_known() -> None:
    assert auc([0.1, 0.2], [1, 1]) is None
    assert auc([0.1, 0.2], [0, 0]) is None
    assert auc([], []) is None


@given(SCORED)
def test_auc_is_its_definition(scored: list[tuple[int, bool]]) -> None:
    right = [score for score, label in scored if label]
    wrong = [score for score, label in scored if not label]
    found = auc([score for score, _ in scored], [label for _, label in scored])
    if not right or not wrong:
        assert found is None
    else:
        won = sum((r > w) + 0.5 * (r == w) for r in right for w in wrong)
        assert found == pytest.approx(won / (len(right) * len(wrong)))


def test_ranking_worked_by_hand() -> None:
    # Question a: wrong, right, right, wrong. Question b: right, wrong.
    found = ranking([0.9, 0.8, 0.7, 0.1, 0.6, 0.5], [0, 1, 1, 0, 1, 0], ["a", "a", "a", "a", "b", "b"])
    ndcg = (1 / log2(3) + 1 / log2(4)) / (1 / log2(2) + 1 / log2(3))
    assert found.mrr == pytest.approx((1 / 2 + 1) / 2)
    assert found.map == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1) / 2)
    assert found.ndcg_10 == pytest.approx((ndcg + 1) / 2)
    assert (found.questions, found.left_out) == (2, 0)


def test_ranking_is_that_of_trec_eval() -> None:
    # 600 pairs, 15 passages a question, many equal scores; the expected numbers are those of ir-measures 0.4.3.
    pair = np.arange(600)
    found = ranking(pair * pair % 11 / 8, pair * pair % 7 == 2, [f"q{index % 40}" for index in pair])
    assert found.mrr == pytest.approx(0.34908730158730156, rel=1e-12)
    assert found.map == pytest.approx(0.3781505161505161, rel=1e-12)
    assert found.ndcg_10 == pytest.approx(0.4183334068609962, rel=1e-12)
    assert (found.questions, found.left_out) == (40, 0)


def test_graded_ndcg_worked_by_hand() -> None:
    # Ranked: grade 0, grade 3, grade 1; the labels are 0, 1, 0.
    found = ranking([0.9, 0.8, 0.7], [0, 1, 0], ["q"] * 3, [0, 3, 1])
    assert found.ndcg_10_graded == pytest.approx((3 / log2(3) + 1 / log2(4)) / (3 / log2(2) + 1 / log2(3)))
    assert found.ndcg_10 == pytest.approx(1 / log2(3))
    assert ranking([0.9, 0.8, 0.7], [0, 1, 0], ["q"] * 3).ndcg_10_graded is None


def test_graded_ndcg_is_that_of_trec_eval() -> None:
    # 600 pairs, 15 passages a question, ties ranked with the lowest grade first; expected: ir-measures 0.4.3.
    pair = np.arange(600)
    grades = pair * pair * 3 % 13 % 4
    found = ranking(pair * pair % 11 / 8, grades >= 2, [f"q{index % 40}" for index in pair], grades)
    assert found.ndcg_10_graded == pytest.approx(0.47297198038536636, rel=1e-12)
    assert found.questions == 40


def test_labels_as_grades_give_the_binary_ndcg() -> None:
    labels = [0, 1, 0, 1, 1, 0]
    found = ranking([6, 5, 4, 3, 2, 1], labels, ["q"] * 6, labels)
    assert found.ndcg_10_graded == found.ndcg_10


def test_a_question_whose_grades_are_all_zero_earns_nothing() -> None:
    assert ranking([2, 1], [1, 0], ["q", "q"], [0, 0]).ndcg_10_graded == 0


def test_ten_ranks_count_for_ndcg_and_ten_right_passages_are_ideal() -> None:
    # Twelve right passages at ranks 2 to 13: nine of them count, of ten that could.
    found = ranking(range(13, 0, -1), [0] + [1] * 12, ["q"] * 13)
    discounts = [1 / log2(rank + 1) for rank in range(1, 11)]
    assert found.ndcg_10 == pytest.approx(sum(discounts[1:]) / sum(discounts))


def test_questions_without_both_labels_are_left_out_and_counted() -> None:
    found = ranking([0.9, 0.1, 0.3, 0.2, 0.5], [1, 0, 0, 0, 1], ["a", "a", "b", "b", "c"])
    assert (found.mrr, found.questions, found.left_out) == (1.0, 1, 2)


def test_nothing_to_rank_is_none() -> None:
    assert ranking([0.9, 0.1], [1, 0], ["a", "b"]) == Ranking(None, None, None, 0, 2)
    assert ranking([], [], []) == Ranking(None, None, None, 0, 0)


def test_a_constant_score_earns_nothing() -> None:
    assert ranking([0.5] * 4, [1, 0, 0, 0], ["q"] * 4).mrr == 0.25


def test_scores_that_differ_only_in_64_bits_are_no_tie() -> None:
    assert ranking([0.5, 0.5 + 1e-12], [0, 1], ["q", "q"]).mrr == 1.0


@settings(max_examples=25, deadline=None)
@given(SCORED, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(scored: list[tuple[int, bool]], chance: object) -> None:
    rows = [(score, label, str(index % 3)) for index, (score, label) in enumerate(scored)]
    mixed = rows.copy()
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = (ranking(*(list(column) for column in zip(*order, strict=True))) for order in (rows, mixed))
    assert (one.questions, one.left_out) == (other.questions, other.left_out)
    assert [one.mrr, one.map, one.ndcg_10] == pytest.approx([other.mrr, other.map, other.ndcg_10])


def test_nan_and_differing_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        auc([np.nan, 1.0], [0, 1])
    with pytest.raises(ValueError, match="shape"):
        auc([0.1, 0.2], [1])
    with pytest.raises(ValueError, match="groups"):
        ranking([0.1, 0.2], [1, 0], ["a"])


def test_the_measures_need_neither_torch_nor_scipy() -> None:
    code = (
        "import sys; from tmkd.metrics.quality import accuracy, auc, ranking\n"
        "accuracy([[1, 0]], [0]); auc([1, 2], [0, 1]); ranking([1, 2], [0, 1], ['q', 'q'])\n"
        "assert not {'torch', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cross_entropy_is_the_mean_of_minus_log_probabilities() -> None:
    logits = np.log(np.array([[0.8, 0.2], [0.5, 0.5]])) + 3.0
    assert cross_entropy(logits, np.array([0, 1])) == pytest.approx(-(np.log(0.8) + np.log(0.5)) / 2)
