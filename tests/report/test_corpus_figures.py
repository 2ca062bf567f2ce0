"""Plots of a corpus: bars that hold what they should, drawings that are well-formed and repeatable."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from tmkd.evaluate.corpus import Histogram, Rank
from tmkd.report.corpus_figures import bars, histogram, pairs_by_rank, scores_by_rank

RANKS = [Rank(1, 30, (9.0, 10.0, 12.0)), Rank(2, 20, (7.0, 8.0, 9.0)), Rank(3, 1, None)]


def test_a_short_range_has_a_bar_for_each_number_however_rare() -> None:
    starts, heights, last, more = bars(Histogram.count(np.array([2, 5] + [3] * 998)))
    assert (starts.tolist(), heights.tolist(), last, more) == ([2, 3, 4, 5], [1, 998, 0, 1], 5, 0)


def test_a_long_range_has_wider_bars_that_hold_everything() -> None:
    starts, heights, last, more = bars(Histogram.count(np.arange(10, 110)))  # 99.5 % of 100 are all of them
    assert (starts.tolist(), last, more) == (list(range(10, 110, 3)), 111, 0)
    assert heights.tolist() == [3] * 33 + [1]


def test_the_few_largest_are_beyond_the_bars() -> None:
    starts, heights, last, more = bars(Histogram.count(np.array([4] * 999 + [5000])))
    assert (starts.tolist(), heights.tolist(), last, more) == ([4], [999], 4, 1)


def drawings() -> list[str]:
    counted = Histogram.count(np.array([1] * 600 + [2] * 400 + [900]))
    return [
        histogram(counted, "words", "Length", "questions", "words"),
        scores_by_rank(RANKS),
        pairs_by_rank(RANKS),
        scores_by_rank(RANKS[:1]),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_drawing_is_well_formed_repeatable_and_follows_the_theme(number: int) -> None:
    svg = drawings()[number]
    assert svg == drawings()[number]
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "var(--student, " in svg
    assert "var(--line, " in svg


def test_axes_are_named_and_numbers_readable() -> None:
    words = histogram(Histogram.count(np.repeat([1, 2], 4000)), "words", "Length", "questions", "words")
    texts = {element.text for element in ElementTree.fromstring(words).iter() if element.tag.endswith("text")}
    assert {"words", "questions", "1", "2", "4,000"} <= texts
    assert not {text for text in texts if text and re.search(r"\d\.\d", text)}  # no half a word


def test_what_lies_beyond_the_bars_has_a_grey_one() -> None:
    few, none = (
        histogram(Histogram.count(np.array([1] * 999 + more)), "words", "Length", "questions", "words")
        for more in ([50], [1])
    )
    assert [len(re.findall(r'<path [^>]*style="fill: var\(--muted', svg)) for svg in (few, none)] == [1, 0]
    texts = {element.text for element in ElementTree.fromstring(few).iter() if element.tag.endswith("text")}
    assert "1" in texts
    assert not {"2", "3"} & texts  # its place on the axis says nothing


def test_drawings_share_no_ids() -> None:
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in drawings()[:3]]
    assert all(ids)
    assert len(set.union(*ids)) == sum(map(len, ids))
