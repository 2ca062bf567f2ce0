"""Predictions and rankings from class probabilities, alike for a student in PyTorch and its bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from tmkd.data.labels import LabelSet

Probabilities = npt.NDArray[np.float32]
Predictions = npt.NDArray[np.float32] | npt.NDArray[np.int64]


class RankedPassage(TypedDict):
    """A passage's index in the ranked list of passages, and the probability of its positive class."""

    corpus_id: int
    score: float
    text: NotRequired[str]


def predictions(probabilities: Probabilities, labels: LabelSet) -> Predictions:
    """Probabilities (pairs, classes) → (pairs,): the positive class's, float32; with three or more, class indices.

    Class indices are those of the likeliest classes, int64.
    """
    if len(labels.names) > 2:
        return np.asarray(probabilities.argmax(axis=1))
    return probabilities[:, labels.positive_index]


def ranking(
    probabilities: Probabilities,
    labels: LabelSet,
    passages: Sequence[str],
    top_k: int | None = None,
    return_documents: bool = False,
) -> list[RankedPassage]:
    """Order passages by the probability of the positive class, the best first; equals keep their order.

    probabilities (passages, classes) → the best `top_k` (default: all), with their texts if `return_documents`.
    """
    scores = probabilities[:, labels.positive_index]
    ranked: list[RankedPassage] = []
    for index in np.argsort(-scores, kind="stable")[:top_k].tolist():
        ranked.append({"corpus_id": index, "score": float(scores[index])})
        if return_documents:
            ranked[-1]["text"] = passages[index]
    return ranked
