"""report.md: every table, and no name that Markdown or HTML would read as its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tmkd.evaluate.comparisons import Comparison
from tmkd.evaluate.results import Result
from tmkd.evaluate.shares import Share
from tmkd.report.report_json import DataSet, Report
from tmkd.report.results_markdown import DATA_SETS, RESULTS, write_report_markdown

TEACHER = Result(
    "t1", "teacher", "demo", "test", 0.8, 0.85, 0.7, 0.6, 0.65, 22_700_000, 91_000_000, 100.0, 1, 900.0, dev=0.91,
    ece=0.05,
)  # fmt: skip
STUDENT = replace(TEACHER, row="tmkd", kind="student", accuracy=0.79, warnings=("test: it says no",))
REPORT = Report(
    "demo", "2026-11-27", "a machine, 2 cores", (1,), (TEACHER, STUDENT),
    comparisons=(Comparison("demo", "test", "accuracy", "tmkd", "t1", -0.01, -0.03, 0.01, 0.4, 1, 1, 0.4),),
    shares=(Share("demo", "test", "tmkd", "t1", None, 0.9875, 0.966, None),),
    data=(DataSet("demo/train", 1200, 1200, 300, 450, 5.86, 43.74, {"no": 900, "yes": 300}),),
    notes=("train: 3 rows *removed*",),
)  # fmt: skip


def written(folder: Path, report: Report = REPORT) -> list[str]:
    write_report_markdown(folder / "report.md", report)
    return (folder / "report.md").read_text().splitlines()


def test_every_table_has_its_rows(tmp_path: Path) -> None:
    lines = written(tmp_path)
    assert lines[:3] == ["# demo", "", "2026-11-27; a machine, 2 cores; seed 1"]
    for line in (
        f"| {' | '.join(RESULTS)} |",
        "| t1 | 80.0 | 0.850 | 0.700 | 0.600 | 0.650 | 0.050 | 91.0 | 22.70 M | 91.0 MB | 100 | 1.0× | 15 min |",
        "| tmkd − t1 | accuracy, points | test | -1.0 | \\[-3.0, +1.0\\] | 0.4000 | 0.4000 |",
        "| tmkd | t1 | 98.8 | 96.6 | - |",
        f"| {' | '.join(DATA_SETS)} |",
        "| demo/train | 1,200 | 900 no, 300 yes | 450 | 5.86 | 43.74 |",
        "- train: 3 rows \\*removed\\*",
    ):
        assert line in lines, line


def test_the_best_student_by_dev_and_warned_rows_are_marked(tmp_path: Path) -> None:
    assert any(line.startswith("| tmkd ! (best by dev) | 79.0 ") for line in written(tmp_path))


def test_names_are_no_markup(tmp_path: Path) -> None:
    evil = "a|b*c_d\n<script>`&[x](y)"
    lines = written(tmp_path, replace(REPORT, name=evil, results=(replace(STUDENT, row=evil, task=evil),)))
    assert lines[0] == r"# a\|b\*c\_d \<script\>\`&amp;\[x\](y)"
    (row,) = [line for line in lines if line.startswith("| a")]
    assert row.replace("\\|", "").count("|") == len(RESULTS) + 1


def test_a_report_without_tables_is_its_head(tmp_path: Path) -> None:
    bare = Report("demo", "2026-11-27", "m", (1, 2), ())
    assert written(tmp_path, bare) == ["# demo", "", "2026-11-27; m; seeds 1, 2"]
