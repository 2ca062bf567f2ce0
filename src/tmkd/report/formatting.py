"""Numbers as tables show them: per cent, parameters, bytes, speed, durations."""

from __future__ import annotations

from collections.abc import Callable

from tmkd.evaluate.results import Stat

NONE = "-"  # the cell of a measure that has no value


def percent(value: float) -> str:
    """A share as per cent with one decimal, without the sign."""
    return f"{100 * value:.1f}"


def share(value: float) -> str:
    """A share with three decimals."""
    return f"{value:.3f}"


def stat(value: Stat | None, form: Callable[[float], str]) -> str:
    """`mean ± deviation`, both written by `form`; `NONE` without a value."""
    return NONE if value is None else value.show(form)


def integer(value: int) -> str:
    """A whole number with commas between thousands."""
    return f"{value:,}"


def millions(parameters: int) -> str:
    """A number of parameters in millions, as in the paper's tables."""
    return f"{parameters / 1e6:.2f} M"


def megabytes(size: int) -> str:
    """Bytes in megabytes of 10⁶ bytes."""
    return f"{size / 1e6:.1f} MB"


def rate(pairs_per_second: float | None) -> str:
    """Pairs per second with at least three digits."""
    if pairs_per_second is None:
        return NONE
    return f"{pairs_per_second:,.0f}" if pairs_per_second >= 100 else f"{pairs_per_second:.3g}"


def factor(value: float | None) -> str:
    """A speed-up, with one decimal."""
    return NONE if value is None else f"{value:.1f}×"


def duration(seconds: float | None) -> str:
    """Seconds up to two minutes, minutes up to two hours, then hours."""
    if seconds is None:
        return NONE
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
