"""ctypes binding of the compiled kernel (src/kernel): its structures, its check at load, the level of this processor.

By ctypes, not cffi: the interface is nine structures of pointers and int64 and four functions. The library exports its
ABI number and its sizes of the structures, so one of another version is refused and never misread; cffi would add a
dependency of what serves.
"""

from __future__ import annotations

import ctypes
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

from tmkd.machine import processor_flags

ABI = 3  # TMKD_ABI of kernel.h
OUTLIERS = 4  # neurons of a feed-forward that are not quantised, as in kernel.h
CPU_LEVELS = {1: "AVX-512 VNNI", 2: "AMX"}  # of the kernel: the instructions that its int8 products use
# Flags of /proc/cpuinfo that level 1 needs.
LEVEL_1_FLAGS = frozenset({"fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"})

_NOT_BUILT = "tmkd was installed without it (it needs Linux on x86-64 and a C compiler)"
_OTHER_VERSION = "its compiled library is of another version of tmkd; install tmkd again"


def _pointers(*names: str) -> list[tuple[str, type]]:
    return [(name, ctypes.c_void_p) for name in names]


def _sizes(*names: str) -> list[tuple[str, type]]:
    return [(name, ctypes.c_int64) for name in names]


class Int8Linear(ctypes.Structure):
    """Linear layer with int8 weights; this and the structures below are those of kernel.h, field by field."""

    _fields_ = [*_pointers("codes", "scales", "bias", "compensation"), *_sizes("inputs", "outputs", "bytes")]


class Bf16Linear(ctypes.Structure):
    """Linear layer with bf16 weights."""

    _fields_ = [*_pointers("weight", "bias"), *_sizes("inputs", "outputs")]


class LayerNorm(ctypes.Structure):
    """Weight and bias of a LayerNorm."""

    _fields_ = _pointers("weight", "bias")


class Outliers(ctypes.Structure):
    """The fp32 neurons of a feed-forward."""

    _fields_ = _pointers("up_weight", "up_bias", "down_weight")


class Layer(ctypes.Structure):
    """One transformer layer."""

    _fields_ = [
        *((name, Int8Linear) for name in ("qkv", "attn_out", "ffn_up", "ffn_down")),
        *((name, LayerNorm) for name in ("attn_norm", "ffn_norm")),
        ("outliers", Outliers),
    ]


class LastLayer(ctypes.Structure):
    """The last layer for the first token alone, the pooler and the headers."""

    _fields_ = [(name, Bf16Linear) for name in ("query", "attn_out", "ffn_up", "ffn_down", "pooler", "headers")]


class Model(ctypes.Structure):
    """A BERT."""

    _fields_ = [
        *_sizes("layers", "width", "heads", "ffn_width"),
        ("epsilon", ctypes.c_float),
        *_pointers("word_codes", "word_scales", "positions", "token_types"),
        ("embedding_norm", LayerNorm),
        ("layer", ctypes.POINTER(Layer)),
        ("last", LastLayer),
    ]


class Batch(ctypes.Structure):
    """Pairs to encode."""

    _fields_ = [*_sizes("pairs"), *_pointers("ids", "types", "lengths")]


STRUCTURES = (Int8Linear, Bf16Linear, LayerNorm, Outliers, Layer, LastLayer, Model, Batch)


@cache
def open_library() -> tuple[Any, str | None]:
    """The compiled kernel, or None and the reason why there is none."""
    found = find_spec("tmkd.bundle._kernel")
    if found is None or found.origin is None:
        return None, _NOT_BUILT
    try:
        library = ctypes.CDLL(found.origin)
        abi = ctypes.c_int64.in_dll(library, "tmkd_abi").value
        sizes = [*(ctypes.c_int64 * (1 + len(STRUCTURES))).in_dll(library, "tmkd_abi")][1:] if abi == ABI else []
    except OSError as error:
        return None, f"its compiled library cannot be loaded ({error})"
    except ValueError:  # no such symbol
        return None, _OTHER_VERSION
    if sizes != [ctypes.sizeof(structure) for structure in STRUCTURES]:
        return None, _OTHER_VERSION
    model, batch = ctypes.POINTER(Model), ctypes.POINTER(Batch)
    library.tmkd_workspace_size.restype = ctypes.c_int64
    library.tmkd_workspace_size.argtypes = [model, batch]
    library.tmkd_encode.restype = None
    library.tmkd_encode.argtypes = [model, ctypes.c_int, batch, ctypes.c_void_p, ctypes.c_void_p]
    return library, None


@cache
def kernel_level() -> int:
    """Highest of CPU_LEVELS that this processor and the compiled library have; 0 without either."""
    library, _ = open_library()
    return 0 if library is None else int(library.tmkd_level())


def kernel_line() -> str:
    """Description of the kernel on this machine in a few words: its level, or why it is not used."""
    _, fault = open_library()
    if fault is not None:
        return f"kernel not built: {fault}" if fault == _NOT_BUILT else f"kernel not used: {fault}"
    level = kernel_level()
    return f"kernel with {CPU_LEVELS[level]}" if level else f"kernel not used: this processor has no {CPU_LEVELS[1]}"


@cache
def warn_of_unused_processor() -> None:
    """Warn, once a process, where the kernel is not there although this processor could run it."""
    _, fault = open_library()
    if fault is not None and processor_flags() >= LEVEL_1_FLAGS:
        text = f"tmkd's int8 kernel would run on this processor, but {fault}. onnxruntime is used, which is slower."
        warnings.warn(text, RuntimeWarning, stacklevel=2)
