"""Signs that a model has learned nothing, or the opposite: AUC, one class too often, base rate, flat loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tmkd.metrics.quality import accuracy, auc

ENOUGH = 100  # labelled pairs from which an AUC near one half is more than chance
NEAR = 0.05  # of one half
ERRORS = 2.0  # standard errors of an AUC
LEAST_FALL = 0.02  # of a loss, as a share of it
REMEDY = "try learning_rate 5.0e-5 to 2.0e-4, more epochs or labels, fresh_pooler: true (docs/howto/weak-student.md)"
REVERSED = (
    "its classes are the wrong way round, or the labels are: map a ready-made model's by classes: {ours: theirs}, and "
    "look at id2label of its config.json and at the columns of a file"
)


@dataclass(frozen=True, slots=True)
class Separation:
    """How far scores separate the classes: the mean one-against-rest AUC, its standard error, the labelled pairs."""

    auc: float
    error: float
    pairs: int

    @property
    def none(self) -> bool:
        """Whether the scores say nothing: an AUC within .05 of one half, and within two standard errors of it."""
        away = round(abs(self.auc - 0.5), 9)
        return self.pairs >= ENOUGH and away <= NEAR and away <= ERRORS * self.error

    @property
    def reversed(self) -> bool:
        """Whether the scores go against the labels: an AUC below one half by more than .05 and two standard errors."""
        below = round(0.5 - self.auc, 9)
        return self.pairs >= ENOUGH and below > NEAR and below > ERRORS * self.error

    @property
    def fault(self) -> str | None:
        """What is wrong with the scores, and its remedy; None where they separate the classes as they should."""
        measured = f"AUC {self.auc:.3f}, chance is 0.5 ± {self.error:.3f}"
        if self.none:
            return f"it has learned nothing: {measured}; {REMEDY}"
        return f"its scores go against the labels: {measured}; {REVERSED}" if self.reversed else None


def separation(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Separation | None:
    """Measure how far probabilities (pairs, classes) separate the classes of labels int (pairs,), all known.

    With two classes the mean is the AUC itself. The standard error is that of scores without any information,
    √((P + N + 1) / 12PN) for P pairs of a class and N of the rest (Mann and Whitney), its mean over the classes. None
    when a single class is labelled.
    Raises: ValueError on differing lengths or NaN.
    """
    values, golden = np.asarray(probabilities, np.float64), np.asarray(labels)
    aucs, errors = [], []
    for index in range(values.shape[1]):
        of_class = golden == index
        value = auc(values[:, index], of_class)
        if value is not None:
            positives = int(of_class.sum())
            negatives = len(golden) - positives
            aucs.append(value)
            errors.append(((len(golden) + 1) / (12 * positives * negatives)) ** 0.5)
    return Separation(float(np.mean(aucs)), float(np.mean(errors)), len(golden)) if aucs else None


def class_signs(probabilities: npt.ArrayLike, labels: npt.ArrayLike, names: Sequence[str]) -> list[str]:
    """Describe what is wrong with probabilities (pairs, classes) beside labels int (pairs,), all known.

    Signs are scores that separate nothing or go against the labels, a class predicted ten points or more above its
    share of the labels, and an accuracy below the share of the commonest label; the list is empty for none of these.
    Raises: ValueError as `accuracy`.
    """
    values, golden = np.asarray(probabilities, np.float64), np.asarray(labels)
    right, pairs = accuracy(values, golden), len(golden)
    found = []
    apart = separation(values, golden)
    if apart is not None and apart.fault is not None:
        found.append(apart.fault)
    labelled = np.bincount(golden, minlength=len(names))
    predicted = np.bincount(values.argmax(axis=1), minlength=len(names))
    for name, own, given in zip(names, predicted.tolist(), labelled.tolist(), strict=True):
        if 10 * (own - given) >= pairs:
            found.append(
                f"it predicts '{name}' for {100 * own / pairs:.1f} % of the pairs, and "
                f"{100 * given / pairs:.1f} % are; read AUC and MRR, and mind its threshold"
            )
    if round(right * pairs) < labelled.max():
        found.append(
            f"its accuracy of {100 * right:.1f} % is below the base rate, {100 * labelled.max() / pairs:.1f} % "
            f"'{names[int(labelled.argmax())]}'; read AUC and MRR"
        )
    return found


def loss_sign(losses: Sequence[float]) -> str | None:
    """Describe a training whose loss fell by less than 2 %, from its mean losses part by part; None for another."""
    if len(losses) < 2 or losses[0] <= 0 or round(1 - losses[-1] / losses[0], 9) >= LEAST_FALL:
        return None
    least = f"{100 * LEAST_FALL:.0f} %"
    return f"its loss went from {losses[0]:.4f} to {losses[-1]:.4f}, a fall of less than {least}; {REMEDY}"
