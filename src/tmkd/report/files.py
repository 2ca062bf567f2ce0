"""Files of a report: report.json for programs, report.html for people, report.md to be pasted."""

from __future__ import annotations

from pathlib import Path

from tmkd.report.report_json import Report, report_json
from tmkd.report.results_markdown import write_report_markdown
from tmkd.report.results_page import write_report_html
from tmkd.store import write_atomic

REPORT_FILES = ("report.json", "report.html", "report.md")


def write_report(folder: Path, report: Report) -> None:
    """Write REPORT_FILES into a folder that is there. Raises: TmkdError when matplotlib is missing."""
    write_atomic(folder / "report.json", report_json(report))
    write_report_html(folder / "report.html", report)
    write_report_markdown(folder / "report.md", report)
