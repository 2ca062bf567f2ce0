"""Numbers as tables show them."""

from __future__ import annotations

from tmkd.evaluate.results import Stat
from tmkd.report.formatting import duration, factor, integer, megabytes, millions, percent, rate, share, stat


def test_shares() -> None:
    assert (percent(0.80432), share(0.8046)) == ("80.4", "0.805")


def test_a_statistic_has_its_deviation_where_there_is_one() -> None:
    stats = (None, Stat(0.5), Stat(0.5, 0.01))
    assert [stat(value, percent) for value in stats] == ["-", "50.0", "50.0 ± 1.0"]


def test_sizes() -> None:
    assert (integer(1234567), millions(45_693_698), megabytes(90_868_376)) == ("1,234,567", "45.69 M", "90.9 MB")


def test_speeds() -> None:
    assert [rate(value) for value in (None, 5.333, 217.4, 1234.5)] == ["-", "5.33", "217", "1,234"]
    assert [factor(value) for value in (None, 13.56)] == ["-", "13.6×"]


def test_durations_are_in_seconds_minutes_or_hours() -> None:
    seconds = (None, 0.4, 119.0, 120.0, 7199.0, 7200.0)
    assert [duration(value) for value in seconds] == ["-", "0 s", "119 s", "2 min", "120 min", "2.0 h"]
