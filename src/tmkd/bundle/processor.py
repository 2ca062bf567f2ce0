"""What this processor can do with bytes, and so which of a bundle's graphs runs here."""

from __future__ import annotations

import platform

from tmkd.bundle.format import Precision
from tmkd.machine import processor_flags

# One instruction that multiplies bytes and adds them up in 32 bits. Older processors add pairs of products in 16 bits,
# where two large ones are cut off: int8 would be wrong there without a word.
EXACT_BYTES = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def best_precision(instructions: frozenset[str], machine: str) -> Precision:
    """int8 where its products are exact, else fp32; an ARM Mac, which has no /proc/cpuinfo, has them."""
    apple = machine == "arm64" and not instructions
    return "int8" if apple or instructions & EXACT_BYTES else "fp32"


def own_precision() -> Precision:
    """The precision for the processor this runs on."""
    return best_precision(processor_flags(), platform.machine())
