"""Choice of a bundle's precision by the processor's int8 instructions."""

from __future__ import annotations

import platform

from tmkd.bundle.format import Precision
from tmkd.machine import processor_flags

# Instruction sets that multiply int8 and accumulate in int32. Older processors add pairs of products in int16, which
# saturates: int8 scores would be wrong there, silently.
EXACT_INT8 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def best_precision(instructions: frozenset[str], machine: str) -> Precision:
    """int8 where its products are exact, else fp32; they are exact on an ARM Mac, which has no /proc/cpuinfo."""
    apple = machine == "arm64" and not instructions
    return "int8" if apple or instructions & EXACT_INT8 else "fp32"


def own_precision() -> Precision:
    """Precision of choice on this processor."""
    return best_precision(processor_flags(), platform.machine())
