"""ONNX Runtime, imported without its telemetry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tmkd.errors import TmkdError
from tmkd.onnx_runtime import onnx_runtime

SOURCE = Path(__file__).parents[1] / "src" / "tmkd"


def test_its_import_leaves_no_number_of_this_machine_behind(tmp_path: Path) -> None:
    off_by_themselves = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in off_by_themselves}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    script = (
        "import os\nfrom tmkd.onnx_runtime import onnx_runtime\n"
        "onnx_runtime('a test needs').get_available_providers()\nprint(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**environment, **home}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
    assert list(tmp_path.rglob("*")) == []


def test_a_choice_of_the_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    onnx_runtime("a test needs")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"


def test_where_it_is_absent_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(TmkdError, match="a bundle needs onnxruntime: pip install"):
        onnx_runtime("a bundle needs")


def test_no_other_module_imports_it() -> None:
    importing = re.compile(r"^\s*(import|from) onnxruntime\b", re.MULTILINE)
    found = [path.name for path in SOURCE.rglob("*.py") if importing.search(path.read_text(encoding="utf-8"))]
    assert found == ["onnx_runtime.py"]
