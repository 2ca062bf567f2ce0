"""Quality of scores, given the labels or grades: accuracy, AUC, MRR, MAP and nDCG@10 as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Ranking:
    """Ranking measures, each a mean over `questions`; None when no question could be ranked.

    `left_out` counts the questions without both a right and a wrong passage: nothing can be ranked there.
    `ndcg_10` takes a label as its gain, `ndcg_10_graded` a grade; None without grades.
    """

    mrr: float | None
    map: float | None
    ndcg_10: float | None
    questions: int
    left_out: int
    ndcg_10_graded: float | None = None


def accuracy(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of pairs whose likeliest class is the golden one (§4.2); the first class wins a tie.

    probabilities: (pairs, classes), or logits: only their order counts; labels: (pairs,) class indices.
    Raises: ValueError on no pairs, differing lengths, NaN, or a label that is no class.
    """
    values, golden = np.asarray(probabilities, np.float64), np.asarray(labels)
    if values.ndim != 2 or not len(values) or golden.shape != values.shape[:1]:
        raise ValueError(f"probabilities of shape {values.shape} do not go with labels of shape {golden.shape}")
    if np.isnan(values).any():
        raise ValueError("a probability is NaN")
    if golden.min() < 0 or golden.max() >= values.shape[1]:
        raise ValueError(f"a label is outside 0..{values.shape[1] - 1}")
    return float((values.argmax(axis=1) == golden).mean())


def cross_entropy(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean cross-entropy in nats: of each pair the negative log-probability of its golden class.

    logits: (pairs, classes) float, log-probabilities or any others; labels: (pairs,) class indices.
    """
    values, golden = np.asarray(logits, np.float64), np.asarray(labels)
    return float((np.logaddexp.reduce(values, axis=1) - values[np.arange(len(golden)), golden]).mean())


def auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Chance that a positive pair scores above a negative one, a tie counting half; None when one class is absent.

    scores: (pairs,) float; labels: (pairs,), 1 or True = positive.
    Raises: ValueError on differing lengths or NaN.
    """
    values, positive = _scores_and_labels(scores, labels)
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place]  # 1-based; equal scores share their mean rank
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def ranking(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[str] | npt.NDArray[np.str_],
    grades: npt.ArrayLike | None = None,
) -> Ranking:
    """MRR, MAP and nDCG@10 over the questions that have both a right and a wrong passage, as trec_eval defines them.

    scores: (pairs,) float; labels: (pairs,), 1 or True = positive; groups: (pairs,) question ids; grades: (pairs,)
    numbers of at least 0, which are the gains of the graded nDCG@10 (linear gain).
    Of equal scores the wrong passages come first, of the lowest grade, so that a constant score earns nothing.
    Raises: ValueError on differing lengths or NaN.
    """
    measured = question_measures(scores, labels, groups, grades)
    if not len(measured.mrr):
        return Ranking(None, None, None, 0, measured.left_out)
    mrr, mean_ap, ndcg_10 = (float(values.mean()) for values in (measured.mrr, measured.map, measured.ndcg_10))
    graded = None if measured.ndcg_10_graded is None else float(measured.ndcg_10_graded.mean())
    return Ranking(mrr, mean_ap, ndcg_10, len(measured.mrr), measured.left_out, graded)


@dataclass(frozen=True, slots=True, eq=False)
class QuestionMeasures:
    """Ranking measures of each question that can be ranked, float64 (questions,), and the index of its first pair.

    `left_out` counts the others; `ndcg_10_graded` is None without grades.
    """

    mrr: npt.NDArray[np.float64]
    map: npt.NDArray[np.float64]
    ndcg_10: npt.NDArray[np.float64]
    first_pairs: npt.NDArray[np.int64]
    left_out: int
    ndcg_10_graded: npt.NDArray[np.float64] | None = None


def question_measures(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[str] | npt.NDArray[np.str_],
    grades: npt.ArrayLike | None = None,
) -> QuestionMeasures:
    """Measure each question that has both a right and a wrong passage, in the order of their ids; see `ranking`.

    Raises: ValueError on differing lengths or NaN.
    """
    values, positive = _scores_and_labels(scores, labels)
    if len(groups) != len(values):
        raise ValueError(f"{len(groups)} groups do not go with {len(values)} scores")
    ids = np.asarray(groups, dtype=object).astype(str)
    _, first, group = np.unique(ids, return_index=True, return_inverse=True)
    size, right = np.bincount(group), np.bincount(group, weights=positive)
    rankable = np.flatnonzero((right > 0) & (right < size))
    borders = size.cumsum()[:-1]
    ranked = np.split(positive[np.lexsort((positive, -values, group))], borders)
    mrr, mean_ap, ndcg_10 = np.array([_of_one_question(ranked[index]) for index in rankable]).reshape(-1, 3).T
    graded = None
    if grades is not None:
        gains, _ = _scores_and_labels(grades, labels)
        by_question = np.split(gains[np.lexsort((gains, -values, group))], borders)
        graded = np.array([_ndcg_10(by_question[index]) for index in rankable], dtype=np.float64)
    return QuestionMeasures(mrr, mean_ap, ndcg_10, first[rankable], len(size) - len(rankable), graded)


def _of_one_question(relevant: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Reciprocal rank, average precision and nDCG@10 of one ranked list that has a relevant passage.

    relevant: (passages,), best score first.
    """
    ranks = np.flatnonzero(relevant) + 1
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return 1 / ranks[0], precisions.mean(), _ndcg_10(relevant.astype(np.float64))


def _ndcg_10(gains: npt.NDArray[np.float64]) -> float:
    """nDCG@10 of one ranked list: gains (passages,) of at least 0, best score first; a discount is log2(rank + 1).

    Without any gain it is 0, as in trec_eval.
    """
    discounts = np.log2(np.arange(2, 12))
    found, ideal = (
        float((ordered[:10] / discounts[: len(ordered)]).sum()) for ordered in (gains, np.sort(gains)[::-1])
    )
    return found / ideal if ideal else 0.0


def _scores_and_labels(
    scores: npt.ArrayLike, labels: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    values, positive = np.asarray(scores, np.float64), np.asarray(labels).astype(bool)
    if values.ndim != 1 or values.shape != positive.shape:
        raise ValueError(f"scores of shape {values.shape} do not go with labels of shape {positive.shape}")
    if np.isnan(values).any():
        raise ValueError("a score is NaN")
    return values, positive


def softmax(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Probabilities of logits (pairs, classes), computed in float64, so that sure pairs do not tie."""
    values = np.asarray(logits, np.float64)
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return shares
