"""Files of a report: all of them, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tmkd.errors import TmkdError
from tmkd.evaluate.results import Result
from tmkd.report.files import REPORT_FILES, write_report
from tmkd.report.report_json import Report, read_report

REPORT = Report(
    "demo", "2026-11-27", "a machine", (1,),
    (Result("t1", "teacher", "demo", "test", 0.8, 0.85, None, None, None, 1, 1, None, 1, None),),
)  # fmt: skip


def test_every_file_is_written(tmp_path: Path) -> None:
    write_report(tmp_path, REPORT)
    assert {path.name for path in tmp_path.iterdir()} == {*REPORT_FILES}
    assert read_report(tmp_path / "report.json") == REPORT
    assert "t1" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "report.md").read_text().startswith("# demo")


def test_a_missing_folder_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="cannot be written"):
        write_report(tmp_path / "missing", REPORT)
