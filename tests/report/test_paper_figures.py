"""Figures 2 and 3: every point and name; a model keeps its colour; points are differences to α = 0.9."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tmkd.report.figures import KIND_COLOURS
from tmkd.report.paper_figures import accuracies_by_set, accuracy_by_alpha

MODELS = ("TKD", "MKD", "TMKD")


def texts(svg: str) -> list[str]:
    return [text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()]


def test_every_point_has_its_model_and_accuracy() -> None:
    drawn = accuracies_by_set(MODELS, {"DeepQA": {"TKD": (0.8012, None)}, "RTE": {"TMKD": (0.675, 0.01)}}, "one", "t")
    assert {"TKD 80.1", "TMKD 67.5", "DeepQA", "RTE"} <= {*texts(drawn)}


def test_a_model_keeps_its_colour_where_another_was_not_run() -> None:
    drawn = accuracies_by_set(MODELS, {"webqa": {"TMKD": (0.7, None)}}, "one", "t")
    assert KIND_COLOURS["student"] in drawn
    assert KIND_COLOURS["ensemble"] not in drawn


def test_each_task_has_a_line_over_alpha() -> None:
    drawn = accuracy_by_alpha(
        {"a": {0.1: (0.5, None), 0.9: (0.6, 0.01)}, "b": {0.1: (0.7, None), 1.0: (0.65, None)}}, 0.9, "x"
    )
    assert {"a", "b", "points above α = 0.9", "0.1", "1.0"} <= {*texts(drawn)}
    assert "−10" in texts(drawn)  # 50 − 60


def test_ids_begin_with_the_drawings_name() -> None:
    ids = re.findall(r'\bid="([^"]+)"', accuracy_by_alpha({"a": {0.1: (0.5, None), 0.9: (0.6, None)}}, 0.9, "figure-3"))
    assert ids
    assert all(one.startswith("figure-3-") for one in ids)
