"""A test build of the kernel (src/kernel/primitives.c), called with numpy arrays, and the layouts of its matrices."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tmkd.bundle.kernel_library import LEVEL_1_FLAGS
from tmkd.machine import processor_flags

ROOT = Path(__file__).parents[1]
COMPILER = os.environ.get("CC", "cc")
EXTRA_FLAGS = "KERNEL_TEST_FLAGS"  # environment variable: more compiler flags, those of sanitizers

_libc = ctypes.CDLL(None)
_libc.free.argtypes = [ctypes.c_void_p]


@dataclass(frozen=True)
class Build:
    """A compiled library, and the level at which its functions are called."""

    library: Any
    level: int

    def __call__(self, name: str, *arguments: Any) -> None:
        """Call a primitive: arrays by address, structures by reference, whole numbers as long, others as float."""
        getattr(self.library, f"primitive_{name}")(*map(_argument, arguments))


class QuantisedRows(ctypes.Structure):
    """Rows as codes in tiles, with a scale each (rows.h)."""

    _fields_ = [("codes", ctypes.c_void_p), ("scales", ctypes.c_void_p), ("bytes", ctypes.c_int64)]


def _argument(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, ctypes.Structure):
        return ctypes.byref(value)
    if isinstance(value, float):
        return ctypes.c_float(value)
    return value if value is None else ctypes.c_long(value)


def no_build() -> str | None:
    """Why the primitives cannot be tested here, or None."""
    if shutil.which(COMPILER) is None:
        return f"no C compiler ({COMPILER})"
    missing = LEVEL_1_FLAGS - processor_flags()
    return f"a processor without {', '.join(sorted(missing))}" if missing else None


def compile_kernel(library: Path, *flags: str | Path) -> Any:
    """The primitives and processor.c, compiled with these flags and EXTRA_FLAGS, loaded."""
    source = ROOT / "src" / "kernel"
    flags = (*flags, *os.environ.get(EXTRA_FLAGS, "").split(), f"@{source / 'avx512.flags'}")
    files = source / "primitives.c", source / "processor.c"
    subprocess.run([COMPILER, "-O2", "-shared", "-fPIC", "-Wall", "-Werror", *flags, *files, "-o", library], check=True)
    return ctypes.CDLL(str(library))


def aligned(array: np.ndarray) -> np.ndarray:
    """Copy at a multiple of 64 bytes in memory of exactly its size, so that a sanitizer sees reads beyond it."""
    address = ctypes.c_void_p()
    assert _libc.posix_memalign(ctypes.byref(address), ctypes.c_size_t(64), ctypes.c_size_t(array.nbytes)) == 0
    memory = (ctypes.c_uint8 * array.nbytes).from_address(address.value or 0)
    weakref.finalize(memory, _libc.free, address.value)
    copy = np.frombuffer(memoryview(memory), dtype=array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Aligned array filled with bytes that are NaN in every type of float, to be overwritten."""
    return aligned(
        np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, 0xFF, dtype=np.uint8).view(dtype).reshape(shape)
    )


def tiled_codes(codes: np.ndarray, size: int) -> np.ndarray:
    """Codes of `size` bytes (rows, width) → bytes in tiles, (blocks of 16 rows, size, width / 64, 16, 64)."""
    rows, width = codes.shape
    padded = np.zeros((-(-rows // 16) * 16, width), dtype=np.uint16)
    padded[:rows] = codes
    parts = np.stack([padded >> 8, padded & 255][-size:]).astype(np.uint8)
    return parts.reshape(size, -1, 16, width // 64, 64).transpose(1, 0, 3, 2, 4)


def codes_of(tiles: np.ndarray, rows: int) -> np.ndarray:
    """The inverse of `tiled_codes`: int64 (rows, width)."""
    blocks, size, steps, _, _ = tiles.shape
    parts = tiles.transpose(1, 0, 3, 2, 4).reshape(size, blocks * 16, steps * 64).astype(np.int64)
    return (256 * parts[0] + parts[1] if size == 2 else parts[0])[:rows]


def to_bf16(numbers: np.ndarray) -> np.ndarray:
    """float32 → bf16 bits, uint16, to nearest, ties to even."""
    bits = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    """bf16 bits → float64."""
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def exact_gelu(x: np.ndarray) -> np.ndarray:
    """x · Φ(x) in float64."""
    from math import erf

    return np.asarray(x * 0.5 * (1 + np.vectorize(erf)(np.asarray(x, dtype=np.float64) / 2**0.5)))
