"""Hardware that models are trained and run on: the device and the number format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from tmkd.errors import TmkdError
from tmkd.machine import processor_flags

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, Arm


@dataclass(frozen=True)
class Hardware:
    """Device (`cpu` or `cuda`) and number format (`bf16` or `fp32`) that a model works in."""

    device: str
    precision: str


def pick_hardware(device: str, precision: str) -> Hardware:
    """Hardware for a recipe's `device` and `precision`; `auto` takes the best there is.

    Raises: TmkdError when CUDA is asked for and there is none.
    """
    picked = pick_device(device)
    return Hardware(picked, pick_precision(precision, picked))


def pick_device(wanted: str) -> Literal["cpu", "cuda"]:
    """Device for `auto`, `cpu` or `cuda`: CUDA where there is one, unless the processor is asked for.

    Raises: TmkdError when CUDA is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TmkdError("device: cuda, but torch finds no CUDA device; set device: auto or cpu")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def pick_precision(wanted: str, device: str) -> Literal["bf16", "fp32"]:
    """Number format for `auto`, `bf16` or `fp32`: bf16 where the hardware multiplies it, else fp32."""
    if wanted == "auto":
        return "bf16" if _has_bf16(device) else "fp32"
    return "bf16" if wanted == "bf16" else "fp32"


def _has_bf16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    return not BF16_FLAGS.isdisjoint(processor_flags())
