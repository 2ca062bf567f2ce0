"""Fragments of made-up rows, as several machines leave them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tmkd.evaluate.measures import LabelledSet
from tmkd.evaluate.results import Result
from tmkd.evaluate.speed import Speed
from tmkd.report.row_fragment import MeasuredSpeed, Origin, RowFragment, write_row

TEST = LabelledSet("toy", "test", ("no", "yes"), 1, np.array([1, 0, 0, 1]), ("q2", "q2", "q1", "q1"))
GRADED = replace(TEST, grades=np.array([2.0, 0.0, 1.0, 0.0]))
PROBABILITIES = np.array([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
ORIGIN = Origin("one machine", "2026-11-01", "c0ffee", {"torch": "2"})


def speed(pairs_per_second: float) -> Speed:
    """A measured speed."""
    return Speed(pairs_per_second, 4, 1, 4, 1, 9.0, "fp32")


def row_fragment(row: str = "tmkd", seed: int = 1, machine: str = "", **changes: Any) -> RowFragment:
    """A student's fragment; with a machine it was made and timed there."""
    result = Result(row, "student", "toy", "test", 0.75, 1.0, 1.0, 1.0, 1.0, 3, 12, 5.0, seed, 2.0, 2, 0, dev=0.5)
    kept = RowFragment(
        run="tiny",
        place=0,
        results=(result,),
        speed=MeasuredSpeed(machine or "one machine", speed(5.0)),
        origin=replace(ORIGIN, machine=machine or "one machine"),
        recipe={"student": "a", f"rows.{row}": "b"},
        classes=("no", "yes"),
        positive=1,
        tests={"test": "d"},
        made_of=("e",),
    )
    return replace(kept, **changes)


def written(folder: Path, fragment: RowFragment | None = None) -> Path:
    """Write a fragment into a folder of results; returns its path."""
    return write_row(folder, fragment or row_fragment(), {"test": (TEST, PROBABILITIES)})
