"""Parity of a graph with its student: the measures of the parity report, and their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tmkd.metrics.agreement import kendall_tau, kendall_tau_in_groups, top_1_agreement
from tmkd.metrics.quality import accuracy

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

EXACT = 1e-4  # largest difference of a probability, fp32
ACCURACY_LOSS = 0.003  # largest loss of accuracy, as a share, int8
TOP_1 = 0.98  # smallest top-1 agreement, int8
TAU = 0.95  # smallest Kendall's τ, int8


@dataclass(frozen=True)
class CheckSet:
    """Pairs on which graphs are compared: labels int64 (pairs,), −1 without one; groups are question ids."""

    name: str
    questions: Sequence[str]
    passages: Sequence[str]
    labels: npt.NDArray[np.int64]
    groups: Sequence[str]


def check_set(name: str, table: pa.Table) -> CheckSet:
    """Check set of a corpus's table (question, passage, label, group)."""
    texts = {column: table[column].to_pylist() for column in ("question", "passage", "group")}
    labels = table["label"].fill_null(-1).to_numpy().astype(np.int64)
    return CheckSet(name, texts["question"], texts["passage"], labels, texts["group"])


def compare(reference: Floats, other: Floats, checks: CheckSet, positive: int) -> dict[str, Any]:
    """Compare probabilities (pairs, classes) with a reference's on one set.

    The measures are both accuracies (None without labels), Kendall's τ over all pairs and in groups, top-1 agreement of
    groups (None if no group has two pairs), and the largest and mean |Δ probability|.
    """
    distance = np.abs(reference - other)
    labelled = checks.labels >= 0
    before, after = reference[:, positive], other[:, positive]
    measures: dict[str, Any] = {
        "set": checks.name,
        "pairs": len(before),
        "max_difference": float(distance.max()),
        "mean_difference": float(distance.mean()),
        "kendall_tau": kendall_tau(before, after),
        "kendall_tau_in_groups": kendall_tau_in_groups(before, after, checks.groups),
        "top_1_agreement": top_1_agreement(before, after, checks.groups),
        "accuracy_before": None,
        "accuracy_after": None,
    }
    if labelled.any():
        measures["accuracy_before"] = accuracy(reference[labelled], checks.labels[labelled])
        measures["accuracy_after"] = accuracy(other[labelled], checks.labels[labelled])
    return {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in measures.items()}


def fp32_faults(report: dict[str, Any]) -> list[str]:
    """Sentences on the limits that an fp32 graph breaks on one set; none when it is exact."""
    if report["max_difference"] <= EXACT:
        return []
    return [f"{report['set']}: a probability differs by {report['max_difference']:.1e}, more than {EXACT}"]


def int8_faults(report: dict[str, Any]) -> list[str]:
    """Sentences on the limits that an int8 graph breaks on one set; none when it may be served."""
    faults = []
    if report["accuracy_before"] is not None:
        loss = report["accuracy_before"] - report["accuracy_after"]
        if loss > ACCURACY_LOSS + 1e-9:
            faults.append(f"{report['set']}: {100 * loss:.2f} points of accuracy lost, more than {100 * ACCURACY_LOSS}")
    tau = report["kendall_tau"]
    if tau is not None and tau < TAU:
        faults.append(f"{report['set']}: Kendall's tau {tau:.3f}, below {TAU}")
    top = report["top_1_agreement"]
    if top is not None and top < TOP_1:
        faults.append(f"{report['set']}: another first passage for {100 * (1 - top):.1f} % of questions, over 2 %")
    return faults
