"""Speeds and sizes beside the paper's: Tables 2, 4 and 9. Speeds of two measurements never share a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tmkd.evaluate.results import distinct
from tmkd.evaluate.speed import Speed
from tmkd.report.formatting import factor, integer, millions, rate
from tmkd.report.paper_cells import NOT_RUN, Cell, Table
from tmkd.report.paper_tables import SHAPES, Model, PaperTable
from tmkd.report.shapes import Shapes
from tmkd.report.study import Study, StudyTask

_MISSING = Cell("", NOT_RUN)


class Timed(NamedTuple):
    """Speeds of one task's rows, timed side by side; `number` is the place in the list of measurements."""

    task: StudyTask
    number: int
    speeds: Mapping[str, Speed]

    @property
    def title(self) -> str:
        """Task, run and measurement in words."""
        return f"{self.task.title}, measurement {self.number}"


def measurements_of(studies: Sequence[Study]) -> list[str]:
    """Machine and time of each measurement of speeds, in the order met."""
    return distinct(measurement for study in studies for task in study.tasks for measurement in task.speeds)


def timed(studies: Sequence[Study]) -> list[Timed]:
    """Speeds of all tasks, measurement by measurement."""
    measurements = measurements_of(studies)
    return [
        Timed(task, measurements.index(measurement) + 1, speeds)
        for study in studies
        for task in study.tasks
        for measurement, speeds in task.speeds.items()
    ]


def speed_table(table: PaperTable, reference: Model, studies: Sequence[Study]) -> Table:
    """Parameters and pairs/s of a table's rows, and how many times the pairs/s of the row `reference`.

    The paper's columns stand first, then ours: parameters of each run, pairs/s of each task in each measurement.
    """
    models = [row.model for row in table.rows]
    runs = [study for study in studies if any(task.line(model) for task in study.tasks for model in models)]
    places = [one for one in timed(studies) if any(_speed(one, model) for model in models)]
    base = next(row.pairs_per_second for row in table.rows if row.model == reference)
    rows = []
    for row in table.rows:
        lines = [next(filter(None, (task.line(row.model) for task in run.tasks)), None) for run in runs]
        size = "" if row.parameters is None else f"{row.parameters:.2f} M"
        speed, notes = _shown(row.pairs_per_second, base)
        cells = [Cell(size), Cell(", ".join((speed, *notes)))]
        cells += [Cell("", NOT_RUN if line is None else millions(line.parameters)) for line in lines] or [_MISSING]
        cells += [Cell("", *_shown(_speed(one, row.model), _speed(one, reference))) for one in places] or [_MISSING]
        rows.append((row.model.name, cells))
    columns = [("parameters", "the paper's"), ("pairs/s", "the paper's")]
    columns += [("parameters", run.name) for run in runs] or [("parameters", NOT_RUN)]
    columns += [("pairs/s", one.title) for one in places] or [("pairs/s", NOT_RUN)]
    remarks = [f"× {reference.name}; the paper does not name its machine. Speeds of two measurements do not compare."]
    for told in distinct(map(_conditions, places)):
        remarks.append(f"{', '.join(one.title for one in places if _conditions(one) == told)}: {told}.")
    return Table("Speed and size", columns, rows, remarks)


def shape_table(shapes: Shapes | None) -> Table:
    """Table 2: parameters, pairs/s and latency of the paper's two models."""
    measured = {} if shapes is None else {one.name: one for one in shapes.shapes}
    rows = []
    for shape in SHAPES:
        ours = measured.get(shape.name)
        cells = [
            Cell(f"{shape.parameters} M", NOT_RUN if ours is None else millions(ours.parameters)),
            Cell(str(shape.pairs_per_second), NOT_RUN if ours is None else rate(ours.pairs_per_second)),
            Cell(f"{shape.latency} ms", NOT_RUN if ours is None else f"{1e3 / ours.pairs_per_second:.1f} ms"),
            Cell("", NOT_RUN if ours is None else f"{ours.alone_ms:.1f} ms"),
        ]
        rows.append((shape.name, cells))
    base, large = ([measured[one.name].pairs_per_second] if one.name in measured else [] for one in SHAPES)
    ratio = factor(base[0] / large[0]) if base and large else NOT_RUN
    paper = factor(SHAPES[0].pairs_per_second / SHAPES[1].pairs_per_second)
    rows.append((f"{SHAPES[0].name} ÷ {SHAPES[1].name}", [Cell(), Cell(paper, ratio), Cell(), Cell()]))
    remarks = ["The paper's are of a GTX 1080Ti; its latency is the inverse of its pairs/s."]
    if shapes is not None:
        remarks.append(
            f"Ours: random weights of these shapes; {shapes.length} token ids a pair, batches of {shapes.batch}, "
            f"{shapes.precision} on {shapes.device}, {shapes.machine}, {shapes.date}, commit {shapes.commit}."
        )
    columns = [("parameters", ""), ("pairs/s", ""), ("latency", "inverse of pairs/s"), ("latency", "one pair alone")]
    return Table("", columns, rows, remarks, "model")


def _speed(one: Timed, model: Model) -> float | None:
    line = one.task.line(model)
    known = None if line is None else one.speeds.get(line.row)
    return None if known is None else known.pairs_per_second


def _shown(pairs_per_second: float | None, base: float | None) -> tuple[str, tuple[str, ...]]:
    """Pairs/s, and below them how many times `base` they are."""
    if pairs_per_second is None:
        return NOT_RUN, ()
    return rate(pairs_per_second), () if base is None else (factor(pairs_per_second / base),)


def _conditions(of: Timed) -> str:
    """Conditions of the first row's timing, which all rows share."""
    one = next(iter(of.speeds.values()))
    return f"{integer(one.pairs)} pairs, median of {one.repeats} repeats, batches of {one.batch}, {one.threads} threads"
