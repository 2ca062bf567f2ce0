from __future__ import annotations

from typing import Any

from tmkd.bundle.format import KERNEL_2, Bundle
from tmkd.data.labels import LabelSet
from tmkd.data.text import TextSettings
from tmkd.export.card import model_card

BUNDLE = Bundle(
    LabelSet("web", ("no", "yes"), "yes"), TextSettings(64, 0, True, None), ("web/gold", "web/ann"), ("fp32", "int8"),
    (KERNEL_2,),
)  # fmt: skip
ROW = {
    "set": "test", "pairs": 12, "accuracy_before": 0.9, "accuracy_after": None, "max_difference": 0.00123,
    "kendall_tau": None, "top_1_agreement": 1.0, "questions": 4, "kendall_tau_in_groups": None,
    "kendall_tau_in_groups_interval": None, "top_1_interval": [0.51, 1.0],
}  # fmt: skip
REPORT: dict[str, Any] = {
    "fp32": [ROW],
    "int8": {"onnxruntime, 1 byte": [ROW], "kernel, 2 bytes": [ROW]},
    "faults": {"onnxruntime, 1 byte": ["test: tau too low"], "kernel, 2 bytes": []},
}  # fmt: skip


def test_the_card_names_classes_headers_and_length() -> None:
    card = model_card(BUNDLE, REPORT)
    assert "the classes no, yes" in card
    assert "that of *yes*" in card
    assert "2 headers (web/gold, web/ann)" in card
    assert "after 64 word pieces" in card


def test_a_measure_that_is_not_known_is_a_dash() -> None:
    rows = [line for line in model_card(BUNDLE, REPORT).splitlines() if line.startswith("| test")]
    measures = "90.0 % → – | 1.2e-03 | – | – | 100.0 % (51.0 % to 100.0 %) |"
    assert rows == [
        f"| test | 12 | 4 | fp32 graph, onnxruntime | PyTorch | {measures}",
        f"| test | 12 | 4 | int8 graph, onnxruntime, 1 byte | fp32 | {measures}",
        f"| test | 12 | 4 | int8 graph, tmkd's kernel, 2 bytes | fp32 | {measures}",
    ]


def test_the_limits_that_an_engine_broke_are_named() -> None:
    last = model_card(BUNDLE, REPORT).splitlines()[-1]
    assert last.startswith(
        "**The int8 graph computed by onnxruntime, 1 byte is beyond its limits** (used only on request)"
    )
    assert last.endswith(": test: tau too low.")
