"""Resampled measures against the measures of the drawn pairs themselves, intervals against known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.metrics.quality import accuracy, auc, cross_entropy, ranking
from tmkd.metrics.resampling import (
    SMALLEST,
    _shares,
    accuracy_measure,
    auc_measure,
    cross_entropy_measure,
    differences,
    holm,
    mean_measure,
    ranking_measure,
)

GROUPS = ["a", "a", "a", "b", "b", "c", "c", "c"]
POSITIVE = np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
DRAWN = st.lists(st.integers(0, 2), min_size=3, max_size=3).filter(any)  # how often a, b and c are drawn
SCORES = st.lists(st.integers(0, 3), min_size=8, max_size=8)


def _weights(drawn: list[int]) -> np.ndarray:
    return np.array([[drawn["abc".index(group)] for group in GROUPS]])


def _repeated(drawn: list[int]) -> tuple[np.ndarray, list[str]]:
    """Indices of the pairs that a draw holds, and their groups, each copy of a question a group of its own."""
    copies = [
        (index, f"{group}{copy}") for index, group in enumerate(GROUPS) for copy in range(drawn["abc".index(group)])
    ]
    return np.array([index for index, _ in copies]), [group for _, group in copies]


@given(SCORES, DRAWN)
def test_a_weighted_measure_is_the_measure_of_the_drawn_pairs(scores: list[int], drawn: list[int]) -> None:
    values, weights = np.array(scores, np.float64), _weights(drawn)
    pairs, groups = _repeated(drawn)
    probabilities = np.stack([3 - values, values], axis=1)
    labels = POSITIVE.astype(int)
    expected = accuracy(probabilities[pairs], labels[pairs])
    assert accuracy_measure(probabilities[None], labels)(weights)[0, 0] == pytest.approx(expected)
    assert auc_measure(values[None], POSITIVE)(weights)[0, 0] == pytest.approx(auc(values[pairs], POSITIVE[pairs]))
    ranked = ranking(values[pairs], POSITIVE[pairs], groups)
    for name in ("mrr", "map", "ndcg_10"):
        assert ranking_measure(values[None], POSITIVE, GROUPS, name)(weights)[0, 0] == pytest.approx(
            getattr(ranked, name)
        )


def test_grades_are_the_gains_of_the_graded_measure() -> None:
    grades = [3, 1, 0, 0, 2, 2, 3, 0]
    values = np.arange(8) % 3
    expected = ranking(values, POSITIVE, GROUPS, grades).ndcg_10_graded
    measure = ranking_measure(values[None], POSITIVE, GROUPS, "ndcg_10_graded", grades)
    assert measure(_weights([1, 1, 1]))[0, 0] == pytest.approx(expected)


def test_cross_entropy_is_the_mean_over_the_drawn_pairs() -> None:
    probabilities = np.array(
        [[0.1, 0.9], [0.8, 0.2], [0.5, 0.5], [0.7, 0.3], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5], [1, 0]]
    )
    labels = POSITIVE.astype(int)
    measure = cross_entropy_measure([probabilities, probabilities[:, ::-1]], labels)
    for drawn in ([1, 1, 1], [0, 2, 1]):
        pairs, _ = _repeated(drawn)
        expected = cross_entropy(np.log(np.maximum(probabilities[pairs], 1e-300)), labels[pairs])
        assert measure(_weights(drawn))[0, 0] == pytest.approx(expected)
    # a and b alone of the other seed: −ln of .1, .2, .5, .3, .4
    assert measure(_weights([1, 1, 0]))[0, 1] == pytest.approx(-np.log([0.1, 0.2, 0.5, 0.3, 0.4]).mean())


def test_a_probability_that_a_fragment_rounds_to_nought_costs_what_its_smallest_number_does() -> None:
    assert np.float16(SMALLEST) > 0
    assert np.float16(SMALLEST / 2.1) == 0
    costs = cross_entropy_measure([[[1.0, 0.0]]], [1])(np.ones((1, 1), np.int64))
    assert costs[0, 0] == pytest.approx(24 * np.log(2))


def test_a_draw_without_a_class_has_no_auc() -> None:
    alone = auc_measure([[0.1, 0.2, 0.3]], [True, False, False])
    assert np.isnan(alone(np.array([[0, 1, 1]]))[0, 0])


def test_the_mean_of_two_sets_weighs_them_alike_whatever_their_sizes() -> None:
    three, one = np.array([[[0.1, 0.9]] * 3]), np.array([[[0.1, 0.9]]])
    both = mean_measure([(accuracy_measure(three, [1, 0, 0]), 3), (accuracy_measure(one, [1]), 1)])
    assert both(np.array([[1, 1, 1, 1], [2, 1, 0, 5]])).tolist() == [[(1 / 3 + 1) / 2], [(2 / 3 + 1) / 2]]


def test_a_draw_without_a_pair_of_one_set_has_no_mean() -> None:
    one = np.array([[[0.1, 0.9]]])
    both = mean_measure([(accuracy_measure(one, [1]), 1)] * 2)
    assert np.isnan(both(np.array([[2, 0]]))[0, 0])


def _rows(right: dict[str, list[float]], pairs: int = 400) -> dict[str, np.ndarray]:
    """Hits of rows: for each seed, the first `share` of the pairs of every block of 20 are right."""
    return {row: np.stack([(np.arange(pairs) % 20 < share * 20) for share in shares]) for row, shares in right.items()}


def _accuracies(right: dict[str, list[float]]) -> dict[str, tuple[tuple[tuple[int, ...], ...], object]]:
    found: dict[str, tuple[tuple[tuple[int, ...], ...], object]] = {}
    for row, hits in _rows(right).items():
        probabilities = np.stack([~hits, hits], axis=2).astype(np.float64)
        seeds = tuple((seed,) for seed in range(1, len(hits) + 1))
        found[row] = seeds, accuracy_measure(probabilities, np.ones(hits.shape[1], int))
    return found


def test_a_difference_is_that_of_the_means_over_seeds_and_lies_in_its_interval() -> None:
    rows = _accuracies({"tmkd": [0.9, 0.8], "bert-3": [0.6, 0.5]})
    groups = [str(number // 4) for number in range(400)]
    (found,) = differences(rows, groups, [("tmkd", "bert-3")], draws=500)  # type: ignore[arg-type]
    assert found.value == pytest.approx(0.3)
    assert found.low <= 0.3 <= found.high
    assert found.p == pytest.approx(2 / 501)  # not one draw on the other side


def test_a_row_against_itself_differs_by_nothing() -> None:
    rows = _accuracies({"tmkd": [0.9, 0.5]})
    (found,) = differences(rows, [str(n) for n in range(400)], [("tmkd", "tmkd")], draws=50)  # type: ignore[arg-type]
    assert found == (0, 0, 0, 1)


def test_seeds_that_differ_widen_the_interval() -> None:
    groups = [str(number) for number in range(400)]
    widths = []
    for shares in ([0.7, 0.7, 0.7], [0.5, 0.7, 0.9]):
        rows = _accuracies({"a": shares, "b": [0.5, 0.5, 0.5]})
        (found,) = differences(rows, groups, [("a", "b")], draws=500)  # type: ignore[arg-type]
        widths.append(found.high - found.low)
    assert widths[1] > 1.5 * widths[0]


def test_the_noise_of_seeds_is_that_of_the_mean_of_a_sample() -> None:
    # All questions alike, so that seeds are the only noise: .5, .7, .9 have a standard deviation of .2 (n − 1), their
    # mean one of .2/√3 = .115; of draws of two of the three, with means of .5 to .9, 5 % lie outside [.5, .9].
    shares = np.array([0.5, 0.7, 0.9])
    rows = {
        "a": (((1,), (2,), (3,)), lambda weights: np.tile(shares, (len(weights), 1))),
        "b": (((4,),), lambda weights: np.zeros((len(weights), 1))),
    }
    (found,) = differences(rows, [str(number) for number in range(50)], [("a", "b")], draws=4000)
    assert (found.low, found.value, found.high) == pytest.approx((0.5, 0.7, 0.9))
    seeds = ((1,), (2,), (3,))
    counts = _shares(seeds, 20_000, {}, np.random.default_rng(1)) @ shares
    assert counts.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.02)


def test_teachers_and_students_are_drawn_apart() -> None:
    # Two teachers' seeds, three students' of each: all noise lies between the teachers. As six seeds of one source it
    # would be drawn six times instead of twice.
    hits = _rows({"a": [0.5, 0.5, 0.5, 0.9, 0.9, 0.9], "b": [0.5]})
    groups = [str(number) for number in range(400)]
    ones = np.ones(400, int)
    measures = {row: accuracy_measure(np.stack([~own, own], axis=2).astype(float), ones) for row, own in hits.items()}
    widths = []
    for seeds in (tuple((t, s) for t in (1, 2) for s in (1, 2, 3)), tuple((1, s) for s in range(6))):
        rows = {"a": (seeds, measures["a"]), "b": (((1, 1),), measures["b"])}
        (found,) = differences(rows, groups, [("a", "b")], draws=500)
        assert found.value == pytest.approx(0.2)
        widths.append(found.high - found.low)
    assert widths[0] > 1.3 * widths[1]


def test_rows_that_share_their_students_seeds_share_the_draw_of_them() -> None:
    # The student's seed decides both rows alike, so that their difference has no noise of seeds.
    hits = _rows({"a": [0.5, 0.9, 0.5, 0.9], "b": [0.4, 0.8]})
    groups = [str(number) for number in range(400)]
    ones = np.ones(400, int)
    measures = {row: accuracy_measure(np.stack([~own, own], axis=2).astype(float), ones) for row, own in hits.items()}
    rows = {
        "a": (((1, 1), (1, 2), (2, 1), (2, 2)), measures["a"]),
        "b": (((1, 1), (1, 2)), measures["b"]),
    }
    (found,) = differences(rows, groups, [("a", "b")], draws=500)
    assert found.value == pytest.approx(0.1)
    assert 0.05 < found.low < found.high < 0.15


def test_questions_are_drawn_whole() -> None:
    # One question of 200 alike pairs and 200 of one: as many pairs, but hardly more than half the information.
    together = ["same"] * 200 + [str(number) for number in range(200)]
    alone = [str(number) for number in range(400)]
    hits = np.concatenate([np.ones(200, bool), np.arange(200) % 2 == 0])[None]
    probabilities = np.stack([~hits, hits], axis=2).astype(np.float64)
    rows = {
        "a": (((1,),), accuracy_measure(probabilities, np.ones(400, int))),
        "b": (((1,),), accuracy_measure(probabilities[:, ::-1], np.ones(400, int))),
    }
    wide, narrow = (differences(rows, groups, [("a", "b")], draws=500)[0] for groups in (together, alone))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_draws_are_those_of_the_seed() -> None:
    rows = _accuracies({"a": [0.7, 0.8], "b": [0.5, 0.6]})
    groups = [str(number) for number in range(400)]
    once, again, other = (
        differences(rows, groups, [("a", "b")], draws=100, seed=seed)  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    )
    assert once == again
    assert once != other


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    groups = [str(number) for number in range(200)]
    held = 0
    for _ in range(60):
        hits = np.stack([rng.random(200) < 0.7, rng.random(200) < 0.6])
        rows = {
            name: (((1,),), accuracy_measure(np.stack([~own, own], axis=1)[None].astype(float), np.ones(200, int)))
            for name, own in zip("ab", hits, strict=True)
        }
        (found,) = differences(rows, groups, [("a", "b")], draws=200)
        held += found.low <= 0.1 <= found.high
    assert 52 <= held <= 60


def test_holm_multiplies_the_smallest_by_all_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # .01 × 3, then .03 × 2, then .04 × 1 < .06
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
