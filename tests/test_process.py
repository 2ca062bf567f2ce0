from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tmkd import process

linux = pytest.mark.skipif(sys.platform != "linux", reason="a process starts afresh on Linux only")


CODE = (
    "import sys; sys.modules['torch'] = sys; from tmkd import process; process._AGED = -1\n"
    "print(process.earlier_steps())\n"
    "if process.earlier_steps() < 5: process.restart_if_old(2)\n"
)


def says(*words: object) -> list[str]:
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@linux
def test_an_aged_process_starts_afresh_with_the_same_command_and_its_steps_count_on(tmp_path: Path) -> None:
    (tmp_path / "tmkd").write_text(CODE)
    assert says(tmp_path / "tmkd", "run", "x.yaml") == ["0", "2", "4", "6"]


def test_another_program_that_calls_tmkd_stays(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(CODE)
    assert says(tmp_path / "other.py") == says("-c", CODE) == ["0"]


@pytest.mark.parametrize(("aged", "modules"), [(1e9, {"torch": sys}), (-1.0, {})])
def test_a_young_process_and_one_without_torch_stay(
    monkeypatch: pytest.MonkeyPatch, aged: float, modules: dict[str, object]
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started afresh"))
    monkeypatch.setattr(process, "_AGED", aged)
    monkeypatch.setattr(process, "_is_command", lambda: True)
    monkeypatch.setattr(sys, "modules", modules)
    process.restart_if_old(1)


@pytest.mark.parametrize(
    ("encoding", "given", "command"), [("utf-8", [], True), ("ascii", ["-X", "utf8"], True), ("ascii", [], False)]
)
def test_a_process_with_utf8_names_or_asked_for_once_or_of_another_program_stays(
    monkeypatch: pytest.MonkeyPatch, encoding: str, given: list[str], command: bool
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started afresh"))
    monkeypatch.setattr(process, "_is_command", lambda: command)
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    monkeypatch.setattr(sys, "orig_argv", ["python", *given, "-m", "tmkd"])
    process.read_names_as_utf8()


def test_the_users_own_settings_of_threads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    process.tune_process()
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["OMP_WAIT_POLICY"]) == ("7", "ACTIVE")
