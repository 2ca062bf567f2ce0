"""What this processor can do with bytes, and so which of a bundle's graphs runs here."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from tmkd.bundle.format import Precision

# One instruction that multiplies bytes and adds them up in 32 bits. Older processors add pairs of products in 16 bits,
# where two large ones are cut off: int8 would be wrong there without a word.
EXACT_BYTES = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def flags(cpuinfo: str) -> frozenset[str]:
    """The instruction sets that /proc/cpuinfo's text names for the first processor (`flags`, on ARM `Features`)."""
    for line in cpuinfo.splitlines():
        name, colon, words = line.partition(":")
        if colon and name.strip() in ("flags", "Features"):
            return frozenset(words.split())
    return frozenset()


def best_precision(instructions: frozenset[str], machine: str) -> Precision:
    """int8 where its products are exact, else fp32; an ARM Mac, which has no /proc/cpuinfo, has them."""
    apple = machine == "arm64" and not instructions
    return "int8" if apple or instructions & EXACT_BYTES else "fp32"


def own_precision() -> Precision:
    """The precision for the processor this runs on."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        cpuinfo = ""
    return best_precision(flags(cpuinfo), platform.machine())


def own_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
