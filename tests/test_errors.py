"""What a failure tells: its exit code, and the near miss."""

from __future__ import annotations

from tmkd.errors import TmkdError, UsageError, did_you_mean


def test_a_near_miss_or_all_there_are() -> None:
    assert did_you_mean("alfa", ["beta", "alpha"]) == "did you mean 'alpha'?"
    assert did_you_mean("zzz", ["beta", "alpha", "beta"]) == "there is beta, alpha"
    assert did_you_mean("zzz", []) == "there is none"


def test_a_failure_exits_with_1_and_a_wrong_use_with_2() -> None:
    assert (TmkdError.exit_code, UsageError.exit_code) == (1, 2)
    assert issubclass(UsageError, TmkdError)
