"""Plots are one well-formed <svg> each, the same for the same input, and show names as text."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.errors import TmkdError
from tmkd.evaluate.results import Result
from tmkd.metrics.calibration import ReliabilityBin
from tmkd.report.figures import accuracy_against_speed, accuracy_per_row, reliability_of, spread

STUDENT = Result("TMKD", "student", "demo", "test", 0.79, 0.85, None, None, None, 1, 1, 217.0, 1, 60.0, dev=0.8)
RESULTS = [
    replace(STUDENT, row="T1", kind="teacher", accuracy=0.81, pairs_per_second=16.0),
    replace(STUDENT, row="$x$ <b>&", accuracy=0.75),
    STUDENT,
    replace(STUDENT, accuracy=0.80, seed=2),
]


@pytest.mark.parametrize("draw", [accuracy_per_row, accuracy_against_speed])
def test_a_drawing_is_well_formed_repeatable_and_names_its_rows(draw) -> None:  # type: ignore[no-untyped-def]
    svg = draw(RESULTS)
    assert svg == draw(RESULTS)
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    assert {"T1", "TMKD", "$x$ <b>&"} <= set(texts)
    assert "accuracy (%)" in texts


def test_drawings_share_no_ids_and_follow_the_theme() -> None:
    drawn = [accuracy_per_row(RESULTS), accuracy_against_speed(RESULTS)]
    one, other = (set(re.findall(r'\bid="([^"]+)"', svg)) for svg in drawn)
    assert one
    assert not one & other
    for svg, ids in zip(drawn, (one, other), strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= ids
        assert "var(--ink, " in svg
        assert "var(--student, " in svg
        assert "<metadata" not in svg
        assert "<!DOCTYPE" not in svg


def test_a_spread_over_seeds_is_written() -> None:
    assert ">79.5 ± 0.7<" in accuracy_per_row(RESULTS)


def test_a_row_without_speed_is_left_out_of_the_speed_plot() -> None:
    svg = accuracy_against_speed([STUDENT, replace(STUDENT, row="slow", pairs_per_second=None)])
    assert ">TMKD<" in svg
    assert ">slow<" not in svg


def test_speeds_have_round_ticks_on_a_logarithmic_axis() -> None:
    svg = accuracy_against_speed(RESULTS)
    assert [tick for tick in ("10", "20", "50", "100", "200", "500", "1,000") if f">{tick}<" in svg] == [
        "20", "50", "100", "200",
    ]  # fmt: skip


def test_close_places_are_moved_apart_and_others_stay() -> None:
    assert spread([0.1, 0.5, 0.55, 0.98, 0.99], 0.1) == pytest.approx([0.1, 0.5, 0.6, 0.9, 1.0])
    assert spread([0.2, 0.4], 0.1) == [0.2, 0.4]
    assert spread([], 0.1) == []


@given(st.lists(st.floats(0, 1), max_size=12).map(sorted))
def test_places_keep_their_order_their_distance_and_their_room(places: list[float]) -> None:
    found = spread(places, 0.08)
    assert all(after - before >= 0.08 - 1e-9 for before, after in pairwise(found))
    assert all(-1e-9 <= place <= 1 for place in found)


def test_reliability_has_a_point_for_each_bin_of_each_seed() -> None:
    bins = (ReliabilityBin(10, 0.55, 0.4), ReliabilityBin(90, 0.95, 0.9))
    seeds = [
        replace(STUDENT, reliability=bins),
        replace(STUDENT, seed=2, reliability=(*bins, ReliabilityBin(1, 0.6, 0))),
    ]
    svg = reliability_of(seeds, "r-0")
    assert svg == reliability_of(seeds, "r-0")
    tree = ElementTree.fromstring(svg)
    groups = [element for element in tree.iter() if (element.get("id") or "").startswith("r-0-PathCollection")]
    points = [sum(one.tag.endswith("path") for one in group.iter()) for group in groups]
    assert points == [2, 3]
    assert {"confidence", "share right"} <= {element.text for element in tree.iter()}


def test_a_missing_matplotlib_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TmkdError, match=r"matplotlib: pip install 'tmkd\["):
        accuracy_per_row(RESULTS)
