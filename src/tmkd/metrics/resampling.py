"""Intervals of differences between two rows by the bootstrap: questions and seeds are resampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tmkd.metrics.quality import question_measures

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int64]  # (draws, pairs): how often a draw holds the pair's question
Measure = Callable[[Weights], Floats]  # → (draws, seeds)
Seeds = tuple[tuple[int, ...], ...]  # one tuple for each of a row's members: the seed of each source of noise

DRAWS = 10_000
SMALLEST = 2.0**-24  # probability: a smaller one of the right class counts as this, 16.6 nats
_AT_ONCE = 256  # draws: bounds memory to some 100 MB at 20,000 pairs


class Difference(NamedTuple):
    """Difference of a measure of two rows, its 95 % interval, and a two-sided p-value of "no difference"."""

    value: float
    low: float
    high: float
    p: float


def accuracy_measure(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Measure:
    """Accuracy of each seed: probabilities (seeds, pairs, classes), labels int (pairs,)."""
    return _mean((np.asarray(probabilities).argmax(axis=2) == np.asarray(labels)).astype(np.float64))


def cross_entropy_measure(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Measure:
    """Mean cross-entropy of each seed in nats: probabilities (seeds, pairs, classes), labels int (pairs,).

    A probability below `SMALLEST` counts as that.
    """
    golden = np.take_along_axis(np.asarray(probabilities, np.float64), np.asarray(labels)[None, :, None], axis=2)
    return _mean(-np.log(np.maximum(golden[:, :, 0], SMALLEST)))


def _mean(values: Floats) -> Measure:
    """Mean over the drawn pairs of numbers that each pair has: values (seeds, pairs)."""
    by_pair = values.T
    return lambda weights: (weights @ by_pair) / weights.sum(axis=1, keepdims=True)


def mean_measure(parts: Sequence[tuple[Measure, int]]) -> Measure:
    """Mean of a measure over several test sets, laid end to end: (measure, pairs) of each.

    A draw without a pair of one of them has NaN.
    """
    ends = np.cumsum([pairs for _, pairs in parts])[:-1]

    def measure(weights: Weights) -> Floats:
        with np.errstate(invalid="ignore"):
            found = [one(drawn) for (one, _), drawn in zip(parts, np.split(weights, ends, axis=1), strict=True)]
        return np.mean(found, axis=0)

    return measure


def auc_measure(scores: npt.ArrayLike, positive: npt.ArrayLike) -> Measure:
    """AUC of each seed, a tie counting half: scores (seeds, pairs), positive bool (pairs,).

    A draw without a pair of either class has NaN.
    """
    right = np.asarray(positive).astype(bool)
    sorted_seeds = []
    for values in np.asarray(scores, np.float64):
        order = np.argsort(values, kind="stable")
        starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)  # of each run of equal scores
        sorted_seeds.append((order, starts))

    def measure(weights: Weights) -> Floats:
        found = np.empty((len(weights), len(sorted_seeds)))
        for seed, (order, starts) in enumerate(sorted_seeds):
            drawn = weights[:, order]
            positives = np.add.reduceat(drawn * right[order], starts, axis=1)
            negatives = np.add.reduceat(drawn * ~right[order], starts, axis=1)
            below = negatives.cumsum(axis=1) - negatives / 2
            with np.errstate(invalid="ignore"):
                found[:, seed] = (positives * below).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1))
        return found

    return measure


def ranking_measure(
    scores: npt.ArrayLike,
    positive: npt.ArrayLike,
    groups: Sequence[str],
    name: str,
    grades: npt.ArrayLike | None = None,
) -> Measure:
    """MRR, MAP or nDCG@10 (`mrr`, `map`, `ndcg_10`, or with grades (pairs,) `ndcg_10_graded`) of each seed.

    scores: (seeds, pairs); positive: bool (pairs,). Means over the questions that have both a right and a wrong
    passage; a draw without one has NaN.
    """
    seeds = [question_measures(values, positive, groups, grades) for values in np.asarray(scores, np.float64)]
    first, values = seeds[0].first_pairs, np.stack([getattr(one, name) for one in seeds], axis=1)

    def measure(weights: Weights) -> Floats:
        drawn = weights[:, first]
        with np.errstate(invalid="ignore"):
            return (drawn @ values) / drawn.sum(axis=1, keepdims=True)

    return measure


def differences(
    measures: Mapping[str, tuple[Seeds, Measure]],
    groups: Sequence[str],
    comparisons: Sequence[tuple[str, str]],
    draws: int = DRAWS,
    seed: int = 1,
) -> list[Difference]:
    """Compare rows: `measures` maps a row to its seeds and its measure, `comparisons` names (row, other).

    A draw takes as many questions as there are, with replacement, and of each source of noise (the teachers, the
    student) one seed less than there are, so that the variance of a row's mean is the sample's (Rao and Wu, Journal of
    the American Statistical Association, 1988); rows with the same seeds of a source get the same draw of them, and all
    rows the same questions. A row has every combination of its seeds. groups: (pairs,) question ids. The p-value is
    twice the smaller share of draws on one side of 0, the value itself counted as a draw (Davison and Hinkley,
    Bootstrap Methods, 1997).
    An interval of rows with one seed holds the noise of the questions alone, none of training.
    """
    used = {row: measures[row] for pair in comparisons for row in pair}
    ones = np.ones((1, len(groups)), np.int64)
    whole = {row: float(measure(ones).mean()) for row, (_, measure) in used.items()}
    drawn: dict[str, list[Floats]] = {row: [] for row in used}
    for weights, rng in question_draws(groups, draws, seed):
        counts: dict[tuple[int, tuple[int, ...]], Floats] = {}
        for row, (seeds, measure) in used.items():
            drawn[row].append((measure(weights) * _shares(seeds, len(weights), counts, rng)).sum(axis=1))
    found = []
    for row, other in comparisons:
        values = np.concatenate(drawn[row]) - np.concatenate(drawn[other])
        values = values[~np.isnan(values)]
        low, high = np.quantile(values, (0.025, 0.975)).tolist() if len(values) else (float("nan"), float("nan"))
        side = min((values <= 0).sum(), (values >= 0).sum())
        p = min(1.0, 2 * float(side + 1) / (len(values) + 1))
        found.append(Difference(whole[row] - whole[other], low, high, p))
    return found


def _shares(
    seeds: Seeds, draws: int, counts: dict[tuple[int, tuple[int, ...]], Floats], rng: np.random.Generator
) -> Floats:
    """Share of each combination of seeds in each draw, float64 (draws, combinations).

    `counts` has what was drawn already of each source's seeds, as shares, and gets what is drawn here.
    """
    found = np.ones((draws, len(seeds)))
    for source, own in enumerate(zip(*seeds, strict=True)):
        levels = tuple(dict.fromkeys(own))
        if (source, levels) not in counts:
            even, size = np.full(len(levels), 1 / len(levels)), max(1, len(levels) - 1)
            counts[source, levels] = rng.multinomial(size, even, draws) / size
        found *= counts[source, levels][:, [levels.index(seed) for seed in own]]
    return found


def holm(values: Sequence[float]) -> list[float]:
    """P-values corrected by Holm's step-down method (1979), in the order given."""
    adjusted = [0.0] * len(values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - place) * values[index]))
        adjusted[index] = highest
    return adjusted


def question_draws(groups: Sequence[str], draws: int, seed: int) -> Iterator[tuple[Weights, np.random.Generator]]:
    """Draw as many questions as there are, with replacement: the weights of the pairs in some draws at a time.

    groups: (pairs,) question ids. Beside the weights comes the generator of what else these draws need.
    """
    _, group = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    questions = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        yield rng.multinomial(questions, np.full(questions, 1 / questions), size)[:, group], rng
