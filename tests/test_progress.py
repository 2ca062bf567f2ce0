from __future__ import annotations

import itertools
import sys

import pytest

from tmkd.progress import clock, progress


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599.7, "1 h 0 min"),
        (7449, "2 h 4 min"),
        (100_000, "27 h 46 min"),
    ],
)
def test_a_duration_for_people(seconds: float, told: str) -> None:
    assert clock(seconds) == told


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by four seconds whenever it is read."""
    monkeypatch.setattr("time.perf_counter", itertools.count(0, 4).__next__)


@pytest.mark.usefixtures("seconds")
def test_a_line_every_ten_seconds_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("score t1", "pairs") as report:
        for done in range(1000, 7000, 1000):
            report(done, 10_000)
    out, err = capsys.readouterr()
    # 12 s after the start 3,000 are done: 250 a second, and 7,000 are left.
    assert err.splitlines() == [
        "score t1: 3,000/10,000 pairs, 250 pairs/s, 28 s left",
        "score t1: 6,000/10,000 pairs, 250 pairs/s, 16 s left",
    ]
    assert out == ""


@pytest.mark.usefixtures("seconds")
def test_no_progress_prints_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("score t1", "pairs") as report:
        for _ in range(9):
            report(0, 10)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("seconds")
def test_a_terminal_has_one_line_and_it_is_wiped_also_after_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    def fail() -> None:
        with progress("score t1", "pairs") as report:
            report(1, 2)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    err = capsys.readouterr().err
    assert "\n" not in err
    assert err.split("\r") == [f"{'score t1: 1/2 pairs, 0 pairs/s, 4 s left':<100}", " " * 100, ""]
