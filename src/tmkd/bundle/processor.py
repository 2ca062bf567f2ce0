"""Choice of a bundle's precision and int8 engine by the processor's instructions."""

from __future__ import annotations

import platform

from tmkd.bundle.format import KERNEL_1, KERNEL_2, ONNXRUNTIME, Int8Engine, Precision
from tmkd.machine import processor_flags

# Instruction sets that multiply int8 and accumulate in int32. Older processors add pairs of products in int16, which
# saturates: int8 scores would be wrong there, silently.
EXACT_INT8 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})

# The fastest first, by the kernel's level (CPU_LEVELS; 0: no kernel). The order is fixed, for two processes that timed
# the engines would score differently. At level 2 two bytes cost no time; at level 1 they do (docs/speed.md).
FASTEST_FIRST: dict[int, tuple[Int8Engine, ...]] = {
    0: (ONNXRUNTIME, KERNEL_2, KERNEL_1),
    1: (KERNEL_1, ONNXRUNTIME, KERNEL_2),
    2: (KERNEL_2, KERNEL_1, ONNXRUNTIME),
}


def best_precision(instructions: frozenset[str], machine: str) -> Precision:
    """int8 where its products are exact, else fp32; they are exact on an ARM Mac, which has no /proc/cpuinfo."""
    apple = machine == "arm64" and not instructions
    return "int8" if apple or instructions & EXACT_INT8 else "fp32"


def own_precision() -> Precision:
    """Precision of choice on this processor."""
    return best_precision(processor_flags(), platform.machine())
