"""Reproducible random numbers: functions of a hash, equal in every process and on every machine."""

from __future__ import annotations

import math


def exponential(digest: str) -> float:
    """Convert a hexadecimal digest (at least 13 digits) to a sample of the exponential distribution of rate 1.

    The n items with the smallest exponential(digest) / weight are a weighted sample without replacement (Efraimidis &
    Spirakis 2006).
    """
    return -math.log((int(digest[:13], 16) + 1) / 2**52)
