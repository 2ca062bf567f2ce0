"""Model card of a bundle: its purpose, its use, and its measured accuracy and parity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tmkd.bundle.format import Bundle


def model_card(bundle: Bundle, report: dict[str, Any]) -> str:
    """Markdown of the card: `report` is the parity report, read by people who have only the folder."""
    labels, int8 = bundle.labels, "int8" in bundle.precisions
    files = ("`model.onnx` (fp32) and `model.int8.onnx` take" if int8 else "`model.onnx` (fp32) takes") + (
        " input_ids, attention_mask and token_type_ids,"
    )
    lines = [
        f"# {labels.task}: does the passage answer the question?",
        "",
        "A small network that reads a question and a passage and gives the probability of each of the classes "
        f"{', '.join(labels.names)}; passages are ranked by that of *{labels.positive}*. It was distilled from larger "
        f"models by tmkd (https://arxiv.org/abs/1910.08381): its answer is the mean of {len(bundle.headers)} headers "
        f"({', '.join(bundle.headers)}), taken inside the graph. Pairs are cut after {bundle.text.max_length} word "
        "pieces, the passage first.",
        "",
        "```python",
        "from tmkd.bundle import Ranker",
        "",
        'Ranker("this folder").rank("why is the sky blue", ["Air scatters blue light.", "Tea is a drink."])',
        "```",
        "",
        f"{files} int64 (pairs, longest), and give logits: the logarithms of the probabilities.",
        "",
        "| set | pairs | questions | computed by | against | accuracy before → after | largest Δ | Kendall's τ "
        "| τ within questions | same first passage |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    parts = [("fp32 graph, onnxruntime", "PyTorch", report["fp32"])]
    parts += [(f"int8 graph, {_name(engine)}", "fp32", rows) for engine, rows in report["int8"].items()]
    for computed, against, rows in parts:
        for row in rows:
            accuracy = f"{_percent(row['accuracy_before'])} → {_percent(row['accuracy_after'])}"
            lines.append(
                f"| {row['set']} | {row['pairs']} | {row['questions']} | {computed} | {against} | {accuracy} "
                f"| {row['max_difference']:.1e} "
                f"| {_number(row['kendall_tau'])} "
                f"| {_number(row['kendall_tau_in_groups'])}{_interval(row['kendall_tau_in_groups_interval'], _number)} "
                f"| {_percent(row['top_1_agreement'])}{_interval(row['top_1_interval'], _percent)} |"
            )
    lines += ["", "Questions have two passages or more; brackets are 95 % intervals."]
    for engine, faults in report["faults"].items():
        if faults:
            served = engine in map(str, bundle.engines)
            use = "served all the same" if served else "used only on request"
            fault = f"The int8 graph computed by {_name(engine)} is beyond its limits"
            lines += ["", f"**{fault}** ({use if int8 else 'left out'}): " + "; ".join(faults) + "."]
    return "\n".join(lines) + "\n"


def _name(engine: str) -> str:
    return engine.replace("kernel", "tmkd's kernel")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _interval(ends: Sequence[float] | None, written: Callable[[float | None], str]) -> str:
    return "" if ends is None else f" ({written(ends[0])} to {written(ends[1])})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
