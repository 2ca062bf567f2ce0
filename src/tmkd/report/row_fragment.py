"""Fragment of a finished row: its part of the report, where and of what it was made, its test probabilities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from tmkd.data.fragment import read_fragment, write_fragment
from tmkd.errors import TmkdError
from tmkd.evaluate.measures import LabelledSet, Probabilities
from tmkd.evaluate.results import Result, Row
from tmkd.evaluate.speed import Speed
from tmkd.recipe.agreement import FRAGMENT

ROWS = "rows"  # folder
_KIND = "row"
Tested = Mapping[str, tuple[LabelledSet, Probabilities]]  # split → its pairs' labels, and (pairs, classes)


@dataclass(frozen=True, slots=True)
class MeasuredSpeed:
    """Speed of a row, and the machine and time of its measurement: speeds of two measurements do not compare."""

    machine: str
    speed: Speed
    timed: str = ""

    @property
    def measurement(self) -> str:
        """Machine and time of the measurement, the same for all rows that were timed side by side."""
        return ", ".join(filter(None, (self.machine, self.timed)))


@dataclass(frozen=True, slots=True)
class Origin:
    """Place and time at which a row was made: machine, day, commit of the recipe's checkout, versions."""

    machine: str
    date: str
    commit: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class RowFragment:
    """One row with one seed on all test sets of its task.

    `results` is one per test set; `task_place` orders the tasks, `place` the rows of a kind. `recipe` has a digest per
    part of the recipe that the row depends on, `tests` one per test set, of its pairs and labels; `made_of` are the
    digests of its predictions.
    """

    run: str
    place: int
    results: tuple[Result, ...]
    speed: MeasuredSpeed | None
    origin: Origin
    recipe: dict[str, str]
    classes: tuple[str, ...]
    positive: int
    tests: dict[str, str]
    made_of: tuple[str, ...]
    task_place: int = 0

    def __post_init__(self) -> None:
        if len({(one.task, one.row, one.kind, one.seed, one.teachers_seed) for one in self.results}) != 1:
            raise ValueError("its results are not of one row and one seed")
        if self.tests.keys() != {one.split for one in self.results} or self.positive not in range(len(self.classes)):
            raise ValueError("its test sets or classes are not those of its results")

    @property
    def first(self) -> Result:
        """Result on the first test set: its row, kind, task and seeds are all results'."""
        return self.results[0]


_FACTS = TypeAdapter(RowFragment)


def origin_lines(rows: Sequence[RowFragment]) -> Iterator[str]:
    """One line per machine, day, commit and versions: the rows made there with their seeds, in the order met.

    With several tasks a row's name begins with its task.
    """
    several = len({row.first.task for row in rows}) > 1
    made: dict[tuple[str, ...], dict[str, dict[int, None]]] = {}
    for row in rows:
        origin, first = row.origin, row.first
        versions = ", ".join(f"{name} {one}" for name, one in origin.versions.items())
        where = (origin.machine, origin.date, f"commit {origin.commit}", versions)
        name = f"{first.task}: {first.row}" if several else first.row
        made.setdefault(where, {}).setdefault(name, {})[first.seed] = None
    for place, of_rows in made.items():
        names = (f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in of_rows.items())
        yield f"{', '.join(filter(None, place))}: {', '.join(names)}"


def row_path(folder: Path, of: Row) -> Path:
    """Path of a row's fragment in the folder of a run's results."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", of.row).strip("-")
    seeds = f"{of.seed}" if of.teachers_seed == 1 else f"{of.seed}.teachers-{of.teachers_seed}"
    return folder / ROWS / f"{of.task}.{of.kind}.{name}.{seeds}{FRAGMENT}"


def write_row(folder: Path, row: RowFragment, tested: Tested) -> Path:
    """Write a row's fragment, its probabilities as float32: float16 has ties near 1, where rankings are decided."""
    path = row_path(folder, row.first)
    arrays: dict[str, np.ndarray] = {}
    for split, (test, probabilities) in tested.items():
        arrays[f"{split}.probabilities"] = probabilities.astype(np.float32)
        arrays[f"{split}.labels"] = test.labels.astype(np.int16)
        arrays[f"{split}.groups"] = np.unique(test.groups, return_inverse=True)[1].astype(np.uint32)
        if test.grades is not None:
            arrays[f"{split}.grades"] = test.grades.astype(np.float32)
    write_fragment(path, {"kind": _KIND, **asdict(row)}, arrays)
    return path


def read_row(path: Path) -> tuple[RowFragment, Tested]:
    """Read a row's fragment, and its test sets with its probabilities.

    Raises: TmkdError when it is missing, damaged, or not a row's.
    """
    facts, arrays = read_fragment(path)
    if facts.pop("kind", "") != _KIND:
        raise TmkdError(f"{path}: not the fragment of a row")
    try:
        row: RowFragment = _FACTS.validate_python(facts)
        return row, {one.split: _tested(row, one.split, arrays) for one in row.results}  # in the recipe's order
    except ValidationError as error:
        first: Any = error.errors()[0]
        raise TmkdError(f"{path}: not a row's fragment: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (KeyError, ValueError) as error:
        raise TmkdError(f"{path}: not a row's fragment: {error}") from None


def _tested(row: RowFragment, split: str, arrays: Mapping[str, np.ndarray]) -> tuple[LabelledSet, Probabilities]:
    probabilities, labels, groups = (arrays[f"{split}.{name}"] for name in ("probabilities", "labels", "groups"))
    grades = arrays.get(f"{split}.grades")
    beside = [labels, groups] + ([] if grades is None else [grades])
    if probabilities.shape != (len(labels), len(row.classes)) or any(one.shape != labels.shape for one in beside):
        raise ValueError(f"{split} has probabilities of shape {probabilities.shape} for labels of shape {labels.shape}")
    if not len(labels) or not np.isin(labels, range(len(row.classes))).all() or not np.isfinite(probabilities).all():
        raise ValueError(f"{split} has labels that are no class, or probabilities that are not finite")
    test = LabelledSet(
        row.first.task,
        split,
        row.classes,
        row.positive,
        labels.astype(np.int64),
        tuple(groups.astype(str).tolist()),
        None if grades is None else grades.astype(np.float64),
    )
    return test, probabilities.astype(np.float64)
