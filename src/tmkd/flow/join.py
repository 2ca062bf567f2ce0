"""Report of a run whose rows were made on several machines and days, joined from their fragments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, get_args

from tmkd.errors import TmkdError
from tmkd.evaluate.results import Kind, distinct
from tmkd.evaluate.seen import seen_lines
from tmkd.evaluate.shares import shares
from tmkd.evaluate.speed import Speed
from tmkd.evaluate.warnings import warning_lines
from tmkd.flow.measure import comparisons
from tmkd.recipe.agreement import FRAGMENT
from tmkd.report.report_json import Report
from tmkd.report.row_fragment import ROWS, RowFragment, Tested, origin_lines, read_row

_APART = (
    "speeds are of several measurements, which do not compare: rows have none, "
    "each is listed with its machine and time; one run of all rows on one machine times them side by side"
)


class Found(NamedTuple):
    """Row of a fragment's file, and its test sets with its probabilities."""

    path: Path
    row: RowFragment
    tested: Tested


def join(folders: Sequence[Path]) -> Report:
    """Join the fragments of these folders of results: every row with every seed once, in the recipe's order.

    A yardstick, which each machine measures, is taken from the first folder. Speeds are not mixed: where a task's are
    of several measurements, or machines differ, results have none and each speed names its machine and time.
    Raises: TmkdError when a folder has no fragment, one is damaged, two are of different runs, recipes, commits or test
    sets, or hold the same row and seed.
    """
    return join_rows([one for folder in folders for one in read_rows(folder)])


def join_rows(read: Sequence[Found]) -> Report:
    """Join fragments that were read. Raises: TmkdError as `join`."""
    found = merged(read)
    rows = [one.row for one in found]
    several = _several_measurements(rows)
    results = [result for row in rows for result in row.results]
    if several:
        results = [replace(result, pairs_per_second=None) for result in results]
    tests = {one.row.first.task: [test for test, _ in one.tested.values()] for one in found}
    predicted = {one.row.first: {split: one.tested[split][1] for split in one.tested} for one in found}
    dates = sorted({row.origin.date for row in rows})
    return Report(
        name=rows[0].run,
        date=" to ".join(dict.fromkeys((dates[0], dates[-1]))),
        machine="; ".join(distinct(row.origin.machine for row in rows)),
        seeds=tuple(sorted({row.first.seed for row in rows if row.first.kind == "student"})),
        teachers_seeds=tuple(sorted({row.first.teachers_seed for row in rows})),
        results=tuple(results),
        comparisons=tuple(comparisons(predicted, tests, results)),
        shares=tuple(shares(results, {task: sets[0].base_rate for task, sets in tests.items()})),
        speeds=_speeds(rows, several),
        notes=tuple(_notes(rows, several)),
    )


def merged(found: Sequence[Found]) -> list[Found]:
    """Every row of one run with every seed once, in the recipe's order.

    Raises: TmkdError when two are of different runs, recipes, commits or test sets, or hold the same row and seed.
    """
    kept = _distinct_rows(found)
    _check_same(kept)
    return sorted(kept, key=partial(_place, _places(kept)))


def read_rows(folder: Path) -> Iterator[Found]:
    """Read the fragments of a folder of results. Raises: TmkdError when there is none, or one is damaged."""
    paths = sorted((folder / ROWS).glob(f"*{FRAGMENT}"))
    if not paths:
        raise TmkdError(f"{folder}: no fragments here (no {ROWS}/*{FRAGMENT}); name a folder such as results/RUN")
    for path in paths:
        yield Found(path, *read_row(path))


def _distinct_rows(found: Sequence[Found]) -> list[Found]:
    """Each row with each seed once; the same fragment twice, as in two checkouts, is one."""
    kept: dict[tuple[object, ...], Found] = {}
    for one in found:
        first = one.row.first
        seeds = () if first.kind == "yardstick" else _seeds(one.row)
        other = kept.setdefault((first.task, first.row, *seeds), one)
        if other.row != one.row and seeds:
            raise TmkdError(f"{other.path} and {one.path} are both {first.row} with seed {first.seed}; leave one out")
    return list(kept.values())


def _seeds(row: RowFragment) -> tuple[int, int]:
    return row.first.teachers_seed, row.first.seed


def _check_same(found: Sequence[Found]) -> None:
    """Check that all fragments are of one run, commit and recipe, and were tested on the same pairs."""
    known: dict[str, tuple[str, Path]] = {}
    for one in found:
        row = one.row
        parts = {"run": row.run, "commit": row.origin.commit}
        parts |= {f"recipe's {name}": digest for name, digest in row.recipe.items()}
        parts |= {f"test set {row.first.task}/{name}": digest for name, digest in row.tests.items()}
        for part, value in parts.items():
            before, path = known.setdefault(part, (value, one.path))
            if before != value:
                raise TmkdError(f"{path} and {one.path} do not go together: the {part} differs ({before}, {value})")


def _places(found: Sequence[Found]) -> dict[tuple[str, str], int]:
    """Place of each row among those of its kind: the last of its fragments' places, for a machine may make few rows."""
    places: dict[tuple[str, str], int] = {}
    for one in found:
        row = one.row.first.kind, one.row.first.row
        places[row] = max(places.get(row, 0), one.row.place)
    return places


def _place(places: Mapping[tuple[str, str], int], one: Found) -> tuple[object, ...]:
    first = one.row.first
    place = get_args(Kind).index(first.kind), places[first.kind, first.row]
    return one.row.task_place, *place, first.row, *_seeds(one.row)


def _several_measurements(rows: Sequence[RowFragment]) -> bool:
    """Whether machines differ, or a task's rows were timed at several times, as by runs of some rows each."""
    timed = [(row.first.task, row.speed) for row in rows if row.speed is not None]
    machines, tasks = {speed.machine for _, speed in timed}, {task for task, _ in timed}
    return len(machines) > 1 or len({(task, speed.measurement) for task, speed in timed}) > len(tasks)


def _speeds(rows: Sequence[RowFragment], name_measurement: bool) -> dict[str, Speed]:
    """Speed of each row in each measurement, the first seed's."""
    several = len({row.first.task for row in rows}) > 1
    found: dict[str, Speed] = {}
    for row in rows:
        if row.speed is not None:
            task = f"{row.first.task}: " if several else ""
            measured = f" ({row.speed.measurement})" if name_measurement else ""
            found.setdefault(f"{task}{row.first.row}{measured}", row.speed.speed)
    return found


def _notes(rows: Sequence[RowFragment], several: bool) -> Iterator[str]:
    """One line per machine, day, commit and versions: the rows made there with their seeds; then what models have
    seen, and warnings.
    """
    yield from origin_lines(rows)
    if several:
        yield _APART
    results = [one for row in rows for one in row.results]
    yield from seen_lines(results)
    yield from warning_lines(results)
