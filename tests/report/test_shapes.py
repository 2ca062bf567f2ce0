"""The file of Table 2's speeds: written, read back, refused where it is something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tmkd.errors import TmkdError
from tmkd.report.shapes import Shapes, ShapeSpeed, read_shapes, shapes_json

SHAPES = Shapes(
    "one machine", "cpu", "fp32", "2026-11-28", "c0ffee", 64, 32, 5,
    (ShapeSpeed("BERT-base", 109_483_778, 40.0, 60.0), ShapeSpeed("BERT-large", 333_581_314, 10.0, 200.0)),
)  # fmt: skip


def test_speeds_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "shapes.json").write_bytes(shapes_json(SHAPES))
    assert read_shapes(tmp_path / "shapes.json") == SHAPES


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"40.0", b"0", r"shapes\.0\.pairs_per_second: Input should be greater than 0"),
        (b"40.0", b"Infinity", r"shapes\.0\.pairs_per_second: Input should be a finite number"),
        (b'"batch": 32', b'"batch": "many"', "batch: Input should be a valid integer"),
        (b"{", b"[", "Invalid JSON"),
    ],
)
def test_other_content_is_refused_by_name(tmp_path: Path, old: bytes, new: bytes, told: str) -> None:
    (tmp_path / "shapes.json").write_bytes(shapes_json(SHAPES).replace(old, new))
    with pytest.raises(TmkdError, match=rf"shapes\.json: not a file of benchmarks/shapes\.py: .*{told}"):
        read_shapes(tmp_path / "shapes.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"none\.json: cannot be read: No such file"):
        read_shapes(tmp_path / "none.json")
