"""report.html: complete, escaped, and loading nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from html_page import Page
from tmkd.evaluate.comparisons import Comparison
from tmkd.evaluate.results import Result
from tmkd.evaluate.shares import Share
from tmkd.evaluate.speed import Speed
from tmkd.metrics.calibration import ReliabilityBin
from tmkd.report.report_json import DataSet, Report
from tmkd.report.results_page import write_report_html

TEACHER = Result(
    "T1", "teacher", "demo", "test", 0.8, 0.85, 0.7, 0.6, 0.65, 22_700_000, 91_000_000, 100.0, 1, 900.0, 150, 3,
    dev=0.9, ece=0.0789, reliability=(ReliabilityBin(300, 0.75, 0.7), ReliabilityBin(150, 0.95, 0.99)),
)  # fmt: skip
STUDENT = replace(TEACHER, row="TMKD", kind="student", accuracy=0.76, bytes=45_500_000, pairs_per_second=180.0)
REPORT = Report(
    name="demo",
    date="2026-11-23",
    machine="a processor, 2 cores",
    seeds=(1, 2),
    results=(TEACHER, STUDENT, replace(STUDENT, accuracy=0.78, seed=2)),
    comparisons=(Comparison("demo", "test", "accuracy", "TMKD", "T1", -0.03, -0.06, 0.01, 0.2, 2, 1, 0.4),),
    shares=(Share("demo", "test", "TMKD", "T1", "BERT-3", 0.9625, 0.9, None),),
    data=(
        DataSet("demo/train", 1200, 1200, 300, 450, 5.86, 43.74, {"no": 900, "yes": 300}),
        DataSet("web", 3000, 0, 0, 300, 6.31, 42.7, {"no": 0, "yes": 0}),
    ),
    speeds={"T1": Speed(100.0, 256, 3, 32, 2, 61.2, "bf16")},
    notes=("The guard removed 3 rows.",),
)


def written(folder: Path, report: Report) -> str:
    write_report_html(folder / "report.html", report)
    return (folder / "report.html").read_text()


def test_the_page_has_every_part(tmp_path: Path) -> None:
    page = Page(written(tmp_path, REPORT))
    assert page.tags.count("svg") == 4  # two plots, and the reliability of two rows
    for text in (
        "demo",
        "2026-11-23",
        "a processor, 2 cores",
        "1, 2",
        "5.86",
        "43.74",
        "no 75.0 %, yes 25.0 %",
        "The guard removed 3 rows.",
    ):
        assert text in page.texts, text
    assert {"MAP", "nDCG@10", "bf16", "15 min"} <= set(page.texts)


def test_the_best_student_stands_out_and_is_compared_with_the_best_teacher(tmp_path: Path) -> None:
    html = written(tmp_path, REPORT)
    assert len(re.findall('<tr class="best">', html)) == 1
    texts = Page(html).texts
    figures = ["77.0 %", "96.2 %", "1.8×", "50.0 %"]
    assert [text for text in texts if text in figures][:4] == figures
    assert "± 1.4" in texts


def test_differences_shares_and_calibration_have_a_section_each(tmp_path: Path) -> None:
    texts = Page(written(tmp_path, REPORT)).texts
    assert {"TMKD − T1", "[-6.0, +1.0]", "0.4000", "T1: ECE 0.079", "TMKD: ECE 0.079"} <= {*texts}
    assert texts[texts.index("96.2") : texts.index("96.2") + 3] == ["96.2", "90.0", "undefined"]
    assert any("The gap from BERT-3 to T1 is not positive" in text for text in texts)
    bare = replace(REPORT, comparisons=(), shares=(), results=tuple(replace(r, reliability=()) for r in REPORT.results))
    assert not {"Differences of rows", "Calibration"} & {*Page(written(tmp_path, bare)).texts}


def test_the_drawings_of_many_rows_calibration_are_folded(tmp_path: Path) -> None:
    assert "<details open>" in written(tmp_path, REPORT)
    many = replace(REPORT, results=tuple(replace(STUDENT, row=f"row {number}") for number in range(13)))
    html = written(tmp_path, many)
    assert "<details open>" not in html
    assert "<summary>13 rows</summary>" in html


def test_graded_ndcg_has_a_column_only_where_there_are_grades(tmp_path: Path) -> None:
    graded = replace(REPORT, results=tuple(replace(result, ndcg_10_graded=0.432) for result in REPORT.results))
    assert {"graded nDCG@10", "0.432"} <= {*Page(written(tmp_path, graded)).texts}
    assert "graded nDCG@10" not in Page(written(tmp_path, REPORT)).texts


def test_drawings_of_two_tasks_share_no_ids(tmp_path: Path) -> None:
    other = tuple(replace(result, task="rte") for result in REPORT.results)
    html = written(tmp_path, replace(REPORT, results=REPORT.results + other))
    ids = re.findall(r'\bid="(reliability-[^"]+)"', html)
    assert len(ids) == len(set(ids)) > 0


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>&\"{style}"
    html = written(
        tmp_path,
        replace(
            REPORT,
            name=evil,
            date=evil,
            machine=evil,
            results=tuple(replace(result, row=evil, task=evil, split=evil) for result in REPORT.results),
            comparisons=(replace(REPORT.comparisons[0], task=evil, row=evil, other=evil, split=evil),),
            shares=(replace(REPORT.shares[0], task=evil, row=evil, teacher=evil, baseline=evil),),
            data=(replace(REPORT.data[0], name=evil, classes={evil: 1}),),
            speeds={evil: replace(REPORT.speeds["T1"], precision=evil)},
            notes=(evil,),
        ),
    )
    page = Page(html)
    assert "script" not in page.tags
    assert evil in page.texts


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    html = written(tmp_path, REPORT)
    assert not re.search(r"<(script|link|img|iframe|object)\b|@import|url\((?!#)|\b(src|srcset)=", html)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"' ]+", html)) <= namespaces
    assert "prefers-color-scheme: dark" in html


def test_every_split_is_shown_when_there_are_several(tmp_path: Path) -> None:
    assert "Every split" not in written(tmp_path, REPORT)
    other = tuple(replace(result, split="dl20", accuracy=0.612) for result in REPORT.results)
    texts = Page(written(tmp_path, replace(REPORT, results=REPORT.results + other))).texts
    assert {"Every split", "dl20", "61.2"} <= set(texts)


def test_a_run_without_teachers_speeds_or_notes_still_has_a_page(tmp_path: Path) -> None:
    bare = replace(STUDENT, auc=None, mrr=None, map=None, ndcg_10=None, pairs_per_second=None, seconds_to_make=None)
    report = replace(REPORT, results=(bare,), comparisons=(), shares=(), data=(), speeds={}, notes=())
    page = Page(written(tmp_path, report))
    assert page.tags.count("svg") == 2
    assert "Notes" not in page.texts


def test_the_same_report_is_the_same_page(tmp_path: Path) -> None:
    assert written(tmp_path, REPORT) == written(tmp_path, REPORT)
