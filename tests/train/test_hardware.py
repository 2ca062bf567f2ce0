from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tmkd.errors import TmkdError
from tmkd.machine import processor_flags
from tmkd.train import hardware
from tmkd.train.hardware import Hardware, pick_hardware


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu sse avx512f avx512_bf16 amx_tile", "bf16"),
        ("flags\t\t: fpu sse amx_bf16", "bf16"),
        ("flags\t\t: fpu sse avx2 avx512f", "fp32"),
        ("Features\t: fp asimd bf16", "bf16"),
        ("model name\t: something else", "fp32"),
    ],
)
def test_the_processor_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    flags = processor_flags(tmp_path / "cpuinfo")
    monkeypatch.setattr(hardware, "processor_flags", lambda: flags)
    assert hardware.pick_precision("auto", "cpu") == expected


def test_a_precision_given_in_the_recipe_is_taken() -> None:
    assert hardware.pick_precision("fp32", "cpu") == "fp32"
    assert hardware.pick_precision("bf16", "cpu") == "bf16"


def test_cuda_is_taken_only_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [hardware.pick_device(wanted) for wanted in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert hardware.pick_device("auto") == "cpu"
    with pytest.raises(TmkdError, match="no CUDA device"):
        hardware.pick_device("cuda")


def test_hardware_is_picked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_hardware("auto", "bf16") == Hardware("cpu", "bf16")
