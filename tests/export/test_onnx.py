"""`tmkd export` and `tmkd rank` on the tiny world, and what export does not ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny_bundle import PAIRS, checks
from tmkd.errors import TmkdError
from tmkd.export import onnx as export
from tmkd.network import Student


def losing(report: dict[str, Any]) -> list[str]:
    return ["test: 9.00 points of accuracy lost"]


def test_an_int8_graph_that_loses_too_much_is_shipped_only_on_demand(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "int8_faults", losing)
    report = export.export_bundle(made[0], PAIRS, [checks()], tmp_path)
    assert report["faults"]["onnxruntime, 1 byte"] == ["test: 9.00 points of accuracy lost"]
    assert read_bundle_json(tmp_path)["precisions"] == ["fp32"]
    assert not (tmp_path / "model.int8.onnx").exists()
    card = (tmp_path / "README.md").read_text()
    assert "computed by onnxruntime, 1 byte is beyond its limits** (left out): test: 9.00 points" in card
    assert "`model.onnx` (fp32) takes input_ids" in card
    export.export_bundle(made[0], PAIRS, [checks()], tmp_path, force=True)
    assert read_bundle_json(tmp_path)["precisions"] == ["fp32", "int8"]
    assert read_bundle_json(tmp_path)["int8_engines"] == ["onnxruntime, 1 byte"]
    assert "is beyond its limits** (served all the same)" in (tmp_path / "README.md").read_text()


def read_bundle_json(folder: Path) -> Any:
    return json.loads((folder / "bundle.json").read_text())


def test_a_graph_that_is_not_the_student_is_never_shipped(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Student.predict_proba
    monkeypatch.setattr(Student, "predict_proba", lambda self, pairs: np.flip(own(self, pairs), axis=1))
    with pytest.raises(TmkdError, match="the ONNX graph is not the student"):
        export.export_bundle(made[0], PAIRS, [checks()], tmp_path, force=True)


def test_an_export_needs_pairs_to_round_by_and_to_check_with(made: tuple[Path, Path], tmp_path: Path) -> None:
    for pairs, sets in ((PAIRS, []), ([], [checks()])):
        with pytest.raises(TmkdError, match="an export needs pairs"):
            export.export_bundle(made[0], pairs, sets, tmp_path)
