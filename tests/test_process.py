from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tmkd import process

linux = pytest.mark.skipif(sys.platform != "linux", reason="a process starts afresh on Linux only")


def says(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
def test_an_aged_process_starts_afresh_with_the_same_command_and_its_steps_count_on() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys; from tmkd import process; process._AGED = -1\n"
        "print(process.earlier_steps())\n"
        "if process.earlier_steps() < 5: process.renew(2)\n"
    )
    assert says(code).split() == ["0", "2", "4", "6"]


@pytest.mark.parametrize(("aged", "modules"), [(1e9, {"torch": sys}), (-1.0, {})])
def test_a_young_process_and_one_without_torch_stay(
    monkeypatch: pytest.MonkeyPatch, aged: float, modules: dict[str, object]
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started afresh"))
    monkeypatch.setattr(process, "_AGED", aged)
    monkeypatch.setattr(process.sys, "modules", modules)
    process.renew(1)


def test_the_users_own_settings_of_threads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    process.settle()
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["OMP_WAIT_POLICY"]) == ("7", "ACTIVE")
