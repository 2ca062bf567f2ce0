"""frontier.html: every point, the pick, the faults; names are escaped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from html_page import Page
from tmkd.bundle.format import Precision
from tmkd.evaluate.frontier import FrontierPoint
from tmkd.report.frontier_page import COLUMNS, budget_sentence, cells, frontier_figure, write_frontier_html


def point(
    row: str,
    accuracy: float | None,
    speed: float,
    p99: float,
    precision: Precision = "int8",
    faults: tuple[str, ...] = (),
) -> FrontierPoint:
    return FrontierPoint(row, precision, accuracy, speed, 0.8 * p99, p99, 1_000_000, faults, accuracy)


TWO = point("thin", 0.68, 2400, 6.0)
WRONG = point("odd", 0.69, 2500, 5.0, faults=("test: 1.20 points of accuracy lost, more than 0.3",))
POINTS = [
    point("tmkd", 0.70, 400, 30.0, "fp32"),
    point("tmkd", 0.70, 1300, 11.0),
    TWO,
    point("flat", 0.61, 5000, 2.0),
    WRONG,
]
EVIL = "<script>alert('x')</script>&\"{style}"


def written(folder: Path, points: list[FrontierPoint], budget_ms: float | None = 10.0, name: str = "demo") -> Page:
    write_frontier_html(folder / "page.html", name, points, budget_ms, "2026-11-25", "a machine")
    return Page((folder / "page.html").read_text())


def test_the_budget_is_put_in_words() -> None:
    asked = "10 passages ranked within {} ms in 99 of 100 cases: "
    assert budget_sentence(POINTS, 10.0) == asked.format(10) + "thin in int8"
    assert budget_sentence(POINTS, 1.5).startswith(asked.format(1.5) + "no bundle that passes its check is so fast")
    assert budget_sentence(POINTS, None) == ""


def test_cells_are_in_the_order_of_the_columns() -> None:
    assert cells(TWO) == ["thin", "int8", "68.0", "68.0", "2,400", "4.8", "6.0", "1.0 MB"]
    assert len(cells(TWO)) == len(COLUMNS)
    assert cells(point("unlabelled", None, 1, 1))[2:4] == ["–", "–"]
    assert cells(replace(TWO, dev=0.712))[2] == "71.2"


def test_the_page_shows_points_pick_and_faults(tmp_path: Path) -> None:
    page = written(tmp_path, POINTS)
    assert {*COLUMNS, "2026-11-25", "a machine", "tmkd", "flat"} <= {*page.texts}
    assert page.texts.count("picked") == 1
    assert page.texts[page.texts.index("picked") - 1] == "thin"
    assert any("odd: test: 1.20 points of accuracy lost" in text for text in page.texts)
    assert page.tags.count("svg") == 1
    assert "picked" not in written(tmp_path, POINTS, None).texts


def test_everything_is_escaped(tmp_path: Path) -> None:
    page = written(tmp_path, [point(EVIL, 0.7, 10, 1, faults=(EVIL,)), point(EVIL, 0.7, 10, 1)], name=EVIL)
    assert "script" not in page.tags
    assert page.texts.count(EVIL) >= 3


def test_a_failing_graph_is_marked_in_the_plot() -> None:
    drawn = [text for text in ElementTree.fromstring(frontier_figure(POINTS, 10.0)).itertext() if text.strip()]
    assert {"odd int8 (fails)", "thin int8"} <= {*drawn}


def test_points_without_accuracy_are_in_the_table_alone(tmp_path: Path) -> None:
    page = written(tmp_path, [point("labelled", 0.5, 10, 1), point("unlabelled", None, 10, 1)])
    assert "unlabelled" in page.texts
    assert "unlabelled int8" not in page.texts
