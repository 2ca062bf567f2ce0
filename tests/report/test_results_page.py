"""report.html: complete, escaped, and loading nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from html_page import Page
from tmkd.evaluate.results import Result
from tmkd.evaluate.speed import Speed
from tmkd.report.report_json import DataSet, Report
from tmkd.report.results_page import write_report_html

TEACHER = Result(
    "T1", "teacher", "demo", "test", 0.8, 0.85, 0.7, 0.6, 0.65, 22_700_000, 91_000_000, 100.0, 1, 900.0, 150, 3
)
STUDENT = replace(TEACHER, row="TMKD", kind="student", accuracy=0.76, bytes=45_500_000, pairs_per_second=180.0)
REPORT = Report(
    name="demo",
    date="2026-11-23",
    machine="a processor, 2 cores",
    seeds=(1, 2),
    results=(TEACHER, STUDENT, replace(STUDENT, accuracy=0.78, seed=2)),
    data=(DataSet("demo/train", 1200, 1200, 300, 450, 5.86, 43.74), DataSet("web", 3000, 0, 0, 300, 6.31, 42.7)),
    speeds={"T1": Speed(100.0, 256, 3, 32, 2, 61.2, "bf16")},
    notes=("The guard removed 3 rows.",),
)


def written(folder: Path, report: Report) -> str:
    write_report_html(folder / "report.html", report)
    return (folder / "report.html").read_text()


def test_the_page_has_every_part(tmp_path: Path) -> None:
    page = Page(written(tmp_path, REPORT))
    assert page.tags.count("svg") == 2
    for text in (
        "demo",
        "2026-11-23",
        "a processor, 2 cores",
        "1, 2",
        "5.86",
        "43.74",
        "25.0 %",
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
            data=(replace(REPORT.data[0], name=evil),),
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
    page = Page(written(tmp_path, replace(REPORT, results=(bare,), data=(), speeds={}, notes=())))
    assert page.tags.count("svg") == 1
    assert "Notes" not in page.texts


def test_the_same_report_is_the_same_page(tmp_path: Path) -> None:
    assert written(tmp_path, REPORT) == written(tmp_path, REPORT)
