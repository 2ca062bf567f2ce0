"""Parity of a graph with its student: the measures of the parity report, and their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tmkd.metrics.agreement import kendall_tau, kendall_taus_of_groups, top_1_agreement
from tmkd.metrics.quality import accuracy

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

EXACT = 1e-4  # largest difference of a probability, fp32
ACCURACY_LOSS = 0.003  # largest loss of accuracy, as a share, int8
TOP_1 = 0.98  # smallest top-1 agreement, int8
TAU = 0.95  # smallest Kendall's τ, over all pairs and within questions, int8
# Questions by which a share of TOP_1 is told from a smaller one: of 54 a true 96 % passes one time in three, and a true
# 98 % fails three times in ten. Of fewer than these only an interval that lies below the limit is a fault.
ENOUGH = 500
POOLED = "all sets"
_Z = 1.959964  # of a 95 % interval


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


def pooled(checks: Sequence[CheckSet]) -> list[tuple[CheckSet, slice]]:
    """Each set and its place among all pairs; at last, where there are several, all sets as one with groups apart."""
    parts, start = [], 0
    for check in checks:
        parts.append((check, slice(start, start + len(check.questions))))
        start += len(check.questions)
    if len(checks) == 1:
        return parts
    pool = CheckSet(
        name=POOLED,
        questions=[question for check in checks for question in check.questions],
        passages=[passage for check in checks for passage in check.passages],
        labels=np.concatenate([check.labels for check in checks]),
        groups=[f"{number} {group}" for number, check in enumerate(checks) for group in check.groups],
    )
    return [*parts, (pool, slice(0, start))]


def compare(reference: Floats, other: Floats, checks: CheckSet, positive: int) -> dict[str, Any]:
    """Compare probabilities (pairs, classes) with a reference's on one set.

    The measures are both accuracies (None without labels), Kendall's τ over all pairs and in groups, top-1 agreement of
    groups (None if no group has two pairs), and the largest and mean |Δ probability|. `questions` is the number of
    groups of two pairs or more; the two measures of them have 95 % intervals: Wilson's, and by the standard error.
    """
    distance = np.abs(reference - other)
    labelled = checks.labels >= 0
    before, after = reference[:, positive], other[:, positive]
    _, group_sizes = np.unique(np.asarray(checks.groups, dtype=object).astype(str), return_counts=True)
    questions = int((group_sizes > 1).sum())
    taus, top_1 = kendall_taus_of_groups(before, after, checks.groups), top_1_agreement(before, after, checks.groups)
    measures: dict[str, Any] = {
        "set": checks.name,
        "pairs": len(before),
        "max_difference": float(distance.max()),
        "mean_difference": float(distance.mean()),
        "kendall_tau": kendall_tau(before, after),
        "questions": questions,
        "kendall_tau_in_groups": float(taus.mean()) if len(taus) else None,
        "kendall_tau_in_groups_interval": _mean_interval(taus),
        "top_1_agreement": top_1,
        "top_1_interval": _wilson_interval(top_1, questions) if questions else None,
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
    tau, bound = (report[f"kendall_tau_in_groups{end}"] for end in ("", "_interval"))
    if tau is not None and _judged(report, tau, bound) < TAU:
        faults.append(f"{report['set']}: Kendall's tau within questions {tau:.3f}, below {TAU}")
    top, bound = report["top_1_agreement"], report["top_1_interval"]
    if top is not None and _judged(report, top, bound) < TOP_1:
        faults.append(f"{report['set']}: another first passage for {100 * (1 - top):.1f} % of questions, over 2 %")
    return faults


def _judged(report: dict[str, Any], value: float, interval: Sequence[float]) -> float:
    """What a measure of questions is judged by: itself, or of too few questions the upper end of its interval."""
    return value if report["questions"] >= ENOUGH else interval[1]


def _wilson_interval(share: float, count: int) -> list[float]:
    """Wilson's 95 % interval of a share of `count`."""
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * (share * (1 - share) / count + _Z**2 / (4 * count**2)) ** 0.5
    return [max(middle - half, 0.0), min(middle + half, 1.0)]


def _mean_interval(taus: npt.NDArray[np.float64]) -> list[float] | None:
    """95 % interval of a mean of τ by its standard error; all of [-1, 1] for one, None without any."""
    if len(taus) < 2:
        return [-1.0, 1.0] if len(taus) else None
    half = _Z * float(taus.std(ddof=1)) / len(taus) ** 0.5
    return [max(float(taus.mean()) - half, -1.0), min(float(taus.mean()) + half, 1.0)]
