"""Tables of a report as texts, for the terminal, the page and Markdown alike: results, differences, shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tmkd.evaluate.comparisons import Comparison, remarks
from tmkd.evaluate.results import Line
from tmkd.evaluate.shares import Share, undefined_gap
from tmkd.report.formatting import NONE, percent, share

DIFFERENCES = ("difference", "measure", "set", "value", "95 % interval", "p", "p, Holm")
SHARES = ("student", "teacher", "of its accuracy, %", "above chance, %", "of the gap closed, %")
UNDEFINED = "undefined"
_NAMES = {
    "accuracy": "accuracy, points",
    "auc": "AUC",
    "mrr": "MRR",
    "ndcg_10": "nDCG@10, binary",
    "ndcg_10_graded": "nDCG@10, graded",
}


class TextTable(NamedTuple):
    """Table of texts, and the sentences below it."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    remarks: list[str]


def difference_table(comparisons: Sequence[Comparison]) -> TextTable:
    """Differences of one task's rows: those named in advance first."""
    return TextTable(DIFFERENCES, [_difference(one) for one in comparisons], list(remarks(comparisons)))


def _difference(one: Comparison) -> tuple[str, ...]:
    def form(value: float) -> str:
        return f"{100 * value:+.1f}" if one.measure == "accuracy" else f"{value:+.3f}"

    return (
        f"{one.row} − {one.other}",
        _NAMES[one.measure],
        one.split,
        form(one.value),
        f"[{form(one.low)}, {form(one.high)}]",
        f"{one.p:.4f}",
        NONE if one.adjusted is None else f"{one.adjusted:.4f}",
    )


def share_table(shares: Sequence[Share]) -> TextTable:
    """Shares of the best teacher's accuracy that one task's students keep."""

    def form(value: float | None) -> str:
        return UNDEFINED if value is None else percent(value)

    rows = [
        (
            one.row,
            one.teacher,
            form(one.of_teacher),
            form(one.above_chance),
            NONE if one.baseline is None else form(one.gap_closed),
        )
        for one in shares
    ]
    return TextTable(SHARES, rows, list(_share_remarks(shares)))


def _share_remarks(shares: Sequence[Share]) -> Iterator[str]:
    if not shares:
        return
    yield f"{shares[0].teacher} is the best teacher by dev; chance is the share of the commonest label."
    if shares[0].baseline is not None:
        yield (
            f"The gap is that from {shares[0].baseline} to {shares[0].teacher} "
            "(paper, DeepQA: 82 % by TMKD large, 73 % by TMKD base)."
        )
    undefined = undefined_gap(shares)
    if undefined:
        yield undefined


def caption(lines: Sequence[Line], teachers: bool = False) -> str:
    """The sets that one task's measures are of, what nDCG@10 counts, and the number of seeds.

    With `teachers` these are pairs of a teachers' and a student's seed.
    """
    parts = [f"Accuracy, AUC and ECE on {lines[0].split}"] if lines else []
    ranked = next((line for line in lines if line.mrr is not None), None)
    if ranked is not None:
        counts = f"{ranked.questions} questions ranked, {ranked.left_out} left out"
        gain = "binary (gain: the label)"
        if ranked.ndcg_10_graded is not None:
            gain += ", beside it graded (gain: the grade, linear as in trec_eval)"
        parts.append(f"MRR, MAP and nDCG@10 on {ranked.ranked_split} ({counts}), nDCG@10 {gain}")
        parts.append("judged passages only, not comparable with official runs")
    parts.append("speed-up over the best teacher by dev, the best student by dev marked")
    if any(line.seeds > 1 for line in lines):
        over = "pairs of a teachers' and a student's seed" if teachers else "seeds"
        parts.append(f"mean ± standard deviation over {max(line.seeds for line in lines)} {over}")
    return "; ".join(parts) + "."


def ndcg_text(line: Line) -> str:
    """Binary nDCG@10 of a line, and the graded one beside it where there are grades."""
    values = [stat for stat in (line.ndcg_10, line.ndcg_10_graded) if stat is not None]
    return " / ".join(stat.show(share) for stat in values) or NONE
