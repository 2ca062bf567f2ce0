"""Exit codes of failures, and the parts of their messages."""

from __future__ import annotations

import errno
import tomllib
from pathlib import Path

import pytest

from tmkd.errors import EXTRA_OF, TmkdError, UsageError, did_you_mean, disk_is_full, first_line, optional_import


def test_a_near_miss_or_all_there_are() -> None:
    assert did_you_mean("alfa", ["beta", "alpha"]) == "did you mean 'alpha'?"
    assert did_you_mean("zzz", ["beta", "alpha", "beta"]) == "there is beta, alpha"
    assert did_you_mean("zzz", []) == "there is none"


def test_a_failure_exits_with_1_and_a_wrong_use_with_2() -> None:
    assert (TmkdError.exit_code, UsageError.exit_code) == (1, 2)
    assert issubclass(UsageError, TmkdError)


def test_a_reason_is_one_line() -> None:
    assert first_line(ValueError("\nthis\nthat")) == "this"
    assert first_line(ValueError(" ")) == "ValueError"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_known_by_its_number_and_by_words(number: int) -> None:
    assert disk_is_full(OSError(number, "x"))
    assert disk_is_full(OSError("Error writing: No space left on device"))
    assert not disk_is_full(OSError(errno.EACCES, "x"))


def test_a_missing_module_names_its_extra() -> None:
    message = r"^plots need matplotlib: pip install 'tmkd\[train\]'$"
    with pytest.raises(TmkdError, match=message), optional_import("plots need", "matplotlib"):
        raise ModuleNotFoundError


def test_every_extra_is_one_of_the_package() -> None:
    declared = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert {*EXTRA_OF.values()} <= {*declared["optional-dependencies"]}
