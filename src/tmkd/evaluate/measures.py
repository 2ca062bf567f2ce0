"""Measures of a row's probabilities on one test set: accuracy, AUC, ranking, calibration (§4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import GRADE
from tmkd.metrics.calibration import ReliabilityBin, calibration_error, reliability
from tmkd.metrics.quality import accuracy, auc, ranking

Probabilities = npt.NDArray[np.float64]


class Measures(TypedDict):
    """Measures of a row on one test set; the keys are fields of `Result`."""

    accuracy: float
    auc: float | None
    mrr: float | None
    map: float | None
    ndcg_10: float | None
    ndcg_10_graded: float | None
    questions: int
    left_out: int
    ece: float
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """A test set: labels int64 (pairs,), the group of each pair, grades float64 (pairs,) or None."""

    task: str
    split: str
    names: tuple[str, ...]
    positive: int
    labels: npt.NDArray[np.int64]
    groups: tuple[str, ...]
    grades: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(cls, split: str, labels: LabelSet, table: pa.Table) -> LabelledSet:
        """Read the labels, groups and grades of a table of pairs.SCHEMA in which every pair has a label."""
        grades = None
        if GRADE.name in table.column_names and not table[GRADE.name].null_count:
            grades = table[GRADE.name].to_numpy().astype(np.float64)
        golden = table["label"].to_numpy().astype(np.int64)
        groups = tuple(table["group"].to_pylist())
        return cls(labels.task, split, labels.names, labels.positive_index, golden, groups, grades)

    @property
    def positives(self) -> npt.NDArray[np.bool_]:
        """True for each pair of the positive class."""
        found: npt.NDArray[np.bool_] = self.labels == self.positive
        return found

    @property
    def base_rate(self) -> float:
        """Share of the commonest label: the accuracy of a row that looks at nothing."""
        return float(np.bincount(self.labels).max() / len(self.labels))


def measure(probabilities: Probabilities, test: LabelledSet) -> Measures:
    """Measure probabilities, float64 (pairs, classes), in the order of the test set's pairs."""
    scores = probabilities[:, test.positive]
    ranked = ranking(scores, test.positives, test.groups, test.grades)
    return Measures(
        accuracy=accuracy(probabilities, test.labels),
        auc=auc(scores, test.positives),
        mrr=ranked.mrr,
        map=ranked.map,
        ndcg_10=ranked.ndcg_10,
        ndcg_10_graded=ranked.ndcg_10_graded,
        questions=ranked.questions,
        left_out=ranked.left_out,
        ece=calibration_error(probabilities, test.labels),
        reliability=reliability(probabilities, test.labels),
    )
