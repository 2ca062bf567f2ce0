"""Signs that a model has learned nothing, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tmkd.metrics.learned import Separation, class_signs, loss_sign, separation

NAMES = ("no", "yes")


def shares(yes: list[float]) -> np.ndarray:
    """Probabilities of two classes, from the positive one's."""
    return np.column_stack([1 - np.array(yes), yes])


def test_two_classes_have_the_auc_of_one() -> None:
    # Couples of a yes and a no: .4 > .1, .4 < .6, .8 > .1, .8 > .6, three of four; √(5 / 48) is the error of 2 and 2.
    found = separation(shares([0.4, 0.1, 0.8, 0.6]), [1, 0, 1, 0])
    assert found is not None
    assert found.auc == pytest.approx(3 / 4)
    assert found.error == pytest.approx((5 / 48) ** 0.5)
    assert found.pairs == 4


def test_three_classes_have_the_mean_of_one_against_the_rest() -> None:
    probabilities = [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]
    # Class 0 (rows 0, 2 score .7, .6 over .2, .1): 1. Class 1 (row 1, .5 over .2, .3, .1): 1. Class 2 (row 3): 1.
    perfect = separation(probabilities, [0, 1, 0, 2])
    assert perfect is not None
    assert perfect.auc == 1
    assert perfect.error == pytest.approx(((5 / 48) ** 0.5 + 2 * (5 / 36) ** 0.5) / 3)
    # Class 0 is row 3 (.1 under all): 0. Class 1 is row 0 (.2: over .1, under .5, .3): 1/3. Class 2 is rows 1 and 2
    # (.3 over .1, under .8; .1 ties .1, under .8): 1.5 of 4.
    poor = separation(probabilities, [1, 2, 2, 0])
    assert poor is not None
    assert poor.auc == pytest.approx((0 + 1 / 3 + 1.5 / 4) / 3)


def test_a_single_class_cannot_be_separated() -> None:
    assert separation(shares([0.1, 0.9]), [1, 1]) is None


@pytest.mark.parametrize(
    ("auc", "error", "pairs", "none"),
    [
        (0.5, 0.03, 100, True),
        (0.5, 0.03, 99, False),  # too few pairs
        (0.549, 0.03, 100, True),
        (0.451, 0.03, 100, True),  # below one half as well
        (0.55, 0.03, 100, True),
        (0.551, 0.03, 100, False),  # not near
        (0.53, 0.014, 5000, False),  # near, and yet more than two standard errors away
        (0.53, 0.016, 5000, True),
        (0.2, 0.03, 100, False),  # swapped classes are not nothing
    ],
)
def test_scores_say_nothing_near_one_half_and_within_two_errors(
    auc: float, error: float, pairs: int, none: bool
) -> None:
    assert Separation(auc, error, pairs).none == none


@pytest.mark.parametrize(
    ("auc", "error", "pairs", "reversed_"),
    [
        (0.2, 0.03, 100, True),
        (0.2, 0.03, 99, False),  # too few pairs
        (0.44, 0.03, 100, False),  # .06 below, 2 errors
        (0.439, 0.03, 100, True),
        (0.46, 0.001, 9000, False),  # near one half, however sure
        (0.8, 0.03, 100, False),
    ],
)
def test_scores_go_against_the_labels_clearly_below_one_half(
    auc: float, error: float, pairs: int, reversed_: bool
) -> None:
    found = Separation(auc, error, pairs)
    assert found.reversed == reversed_
    assert ("against the labels" in (found.fault or "")) == reversed_


def test_reversed_classes_give_a_sign_with_a_remedy() -> None:
    signs = class_signs(shares([0.1, 0.9] * 50), [1, 0] * 50, NAMES)
    assert signs[0].startswith("its scores go against the labels: AUC 0.000, chance is 0.5 ± 0.058; its classes are")
    assert "classes: {ours: theirs}" in signs[0]


def test_scores_drawn_by_chance_give_a_sign_with_a_remedy() -> None:
    # A yes above and a no below one half as often as the other way round: AUC .5.
    (line,) = class_signs(shares([0.9, 0.9, 0.1, 0.1] * 25), [1, 0, 1, 0] * 25, NAMES)
    assert line.startswith("it has learned nothing: AUC 0.500, chance is 0.5 ± 0.058; try learning_rate")
    assert "fresh_pooler" in line


def test_one_class_ten_points_too_often_is_a_sign() -> None:
    yes = [0.9] * 6 + [0.1] * 4
    assert class_signs(shares(yes), [1] * 5 + [0] * 5, NAMES) == [
        "it predicts 'yes' for 60.0 % of the pairs, and 50.0 % are; read AUC and MRR, and mind its threshold"
    ]
    assert class_signs(shares([*yes, 0.1]), [1] * 5 + [0] * 6, NAMES) == []  # 9.1 points


def test_an_accuracy_below_the_base_rate_is_a_sign() -> None:
    # Three of ten are wrong; the commonest class has eight of ten.
    signs = class_signs(shares([0.9, 0.1, 0.9, 0.9, *[0.1] * 6]), [1, 1, 0, 0, *[0] * 6], NAMES)
    assert [line for line in signs if "base rate" in line] == [
        "its accuracy of 70.0 % is below the base rate, 80.0 % 'no'; read AUC and MRR"
    ]
    assert class_signs(shares([0.9, 0.1, 0.1, 0.9, *[0.1] * 6]), [1, 1, 0, 0, *[0] * 6], NAMES) == []  # equal: 80.0 %


def test_few_positives_all_predicted_negative_can_be_separated() -> None:
    """Five per cent positive, as WikiQA: nothing is said, since the scores order the pairs."""
    draw = np.random.default_rng(1)
    labels = np.arange(2000) % 20 == 0
    scores = 0.2 / (1 + np.exp(-draw.normal(labels * 1.0, 1)))  # all below one half
    found = separation(shares(scores.tolist()), labels.astype(int))
    assert found is not None
    assert not found.none
    assert class_signs(shares(scores.tolist()), labels.astype(int), NAMES) == []


def test_a_reranker_without_calibration_gives_a_sign_and_separates() -> None:
    """One logit that is always above 0: every pair is a yes, and the order is right."""
    yes = np.linspace(0.6, 0.99, 200)
    labels = (np.arange(200) >= 140).astype(int)
    found = separation(shares(yes.tolist()), labels)
    assert found is not None
    assert (found.auc, found.none) == (1, False)
    assert ["learned nothing" in line for line in class_signs(shares(yes.tolist()), labels, NAMES)] == [False, False]


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([0.7, 0.69, 0.687], True),  # 1.86 %
        ([0.7, 0.9, 0.686], False),  # 2 %
        ([0.5, 0.6], True),  # it rose
        ([0.5], False),
        ([], False),
    ],
)
def test_a_loss_that_hardly_fell_is_a_sign(losses: list[float], told: bool) -> None:
    sign = loss_sign(losses)
    assert (sign is not None) == told
    assert sign is None or sign.startswith(f"its loss went from {losses[0]:.4f} to {losses[-1]:.4f}, a fall of less")
