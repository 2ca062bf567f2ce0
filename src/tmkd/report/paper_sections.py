"""Sections of the paper's report: every table and figure of the paper, ours beside it, and where ours came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from tmkd.report import figures, paper_figures
from tmkd.report.paper_cells import (
    NOT_RUN,
    Column,
    Table,
    accuracy_table,
    columns_of,
    difference_table,
    our_difference,
    paper_difference,
)
from tmkd.report.paper_figures import Spread
from tmkd.report.paper_rows import beyond_tables, confusion_tables, data_table, origins
from tmkd.report.paper_speed import Timed, measurements_of, shape_table, speed_table, timed
from tmkd.report.paper_tables import (
    ALPHAS,
    FIGURE_2,
    FIGURE_3,
    LAYERS_3,
    TABLE_4,
    TABLE_9,
    TABLES,
    TEACHER,
    Model,
    PaperTable,
)
from tmkd.report.shapes import Shapes
from tmkd.report.study import Study

Key = TypeVar("Key")


class Section(NamedTuple):
    """Section of the report: `key` is its anchor, `source` the paper's §, drawings are (caption, SVG), lines a list."""

    key: str
    name: str
    title: str
    source: str
    tables: Sequence[Table]
    drawings: Sequence[tuple[str, str]] = ()
    remarks: Sequence[str] = ()
    lines: Sequence[str] = ()


class Agreement(NamedTuple):
    """Signs of the paper's differences that were run here: how many, how many alike, and how many clear of 0."""

    run: int
    alike: int
    clear: int
    against: Sequence[str]  # differences whose interval lies on the other side of 0


def sections(studies: Sequence[Study], shapes: Shapes | None) -> list[Section]:
    """All sections in the paper's order, then what is beside the paper.

    Raises: TmkdError when matplotlib is missing.
    """
    found = [
        Section("table-2", "Table 2", "Speed of BERT", "§1", [shape_table(shapes)]),
        Section("table-3", "Table 3", "Data sets", "§4.1", [data_table(studies)]),
    ]
    found += [_of_table(table, studies) for table in TABLES]
    found += [
        Section("beyond", "Beyond the paper", "Rows that it does not have", "", beyond_tables(studies)),
        _against_speed(timed(studies)),
        Section(
            "confusion",
            "Confusion",
            "Classes of the best student and the best teacher by dev",
            "",
            confusion_tables(studies),
        ),
        Section(
            "origin", "Origin", "Where the numbers come from", "", [], lines=origins(studies, measurements_of(studies))
        ),
    ]
    return found


def agreement(studies: Sequence[Study]) -> Agreement:
    """Count the differences of the paper's tables that were run here, each once."""
    seen: set[tuple[object, str, str]] = set()
    signs, against = [], []
    for table in TABLES:
        for column in columns_of(table, studies):
            for row, other in table.differences:
                paper, ours = paper_difference(table, row, other, column.of), our_difference(row, other, column)
                if not paper or ours is None or (column.task, ours.row, ours.other) in seen:
                    continue
                seen.add((column.task, ours.row, ours.other))
                direction = 1 if paper > 0 else -1
                signs.append((ours.value * direction > 0, min(direction * ours.low, direction * ours.high) > 0))
                if max(direction * ours.low, direction * ours.high) < 0 and column.task is not None:
                    against.append(f"{ours.row} − {ours.other} ({column.task.title})")
    return Agreement(len(signs), sum(alike for alike, _ in signs), sum(clear for _, clear in signs), against)


def _of_table(table: PaperTable, studies: Sequence[Study]) -> Section:
    columns = columns_of(table, studies)
    tables = [difference_table(table, columns), accuracy_table(table, columns)]
    if table is TABLE_4:
        tables += [speed_table(table, TEACHER, studies)]
    if table is TABLE_9:
        tables += [speed_table(table, LAYERS_3, studies)]
    drawings = {FIGURE_2.name: figure_2, FIGURE_3.name: figure_3}.get(table.name)
    key = table.name.lower().replace(" ", "-")
    remarks = [table.remark] if table.remark else []
    return Section(
        key, table.name, table.title, table.section, tables, [] if drawings is None else [*drawings(columns)], remarks
    )


def figure_2(columns: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """Drawings of Figure 2 with their captions: the paper's, then ours if a row of it was run."""
    paper = {
        of.name: {row.model.name: (row.accuracies[place] / 100, None) for row in FIGURE_2.rows}
        for place, of in enumerate(FIGURE_2.sets)
    }
    models = [row.model.name for row in FIGURE_2.rows]
    yield "The paper's", paper_figures.accuracies_by_set(models, paper, "figure-2-paper", "The paper's accuracies")
    ours = _spreads(columns, {row.model.name: row.model for row in FIGURE_2.rows}, 1)
    if ours:
        drawn = paper_figures.accuracies_by_set(models, ours, "figure-2-ours", "Our accuracies")
        yield "Ours, ± the standard deviation over seeds", drawn


def figure_3(columns: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """Our drawing of Figure 3 with its caption, if two values of α were run."""
    ours = _spreads(columns, ALPHAS, 2)
    if ours:
        yield "Ours, ± the standard deviation over seeds", paper_figures.accuracy_by_alpha(ours, 0.9, "figure-3")


def _spreads(columns: Sequence[Column], models: Mapping[Key, Model], least: int) -> dict[str, dict[Key, Spread]]:
    """Accuracy of each of the models and its deviation, for each task that has at least so many of them.

    All are of the seeds that all have: another mean of seeds would look like an effect.
    """
    found = {}
    for column in columns:
        if column.task is not None:
            lines = column.task.lines_at_common_seeds(models)
            known = {key: (one.accuracy.mean, one.accuracy.deviation) for key, one in lines.items()}
            if len(known) >= least:
                found[column.task.title] = known
    return found


def _against_speed(places: Sequence[Timed]) -> Section:
    drawings = [*against_speed(places)]
    remarks = [] if places else [f"Timing was {NOT_RUN}, or its fragments are not here."]
    return Section("speed", "Accuracy against speed", "Teachers, students and the bundle", "", [], drawings, remarks)


def against_speed(places: Sequence[Timed]) -> Iterator[tuple[str, str]]:
    """Drawings of accuracy against speed with their captions, one for each measurement."""
    for number, one in enumerate(places):
        speeds = {row: speed.pairs_per_second for row, speed in one.speeds.items()}
        models = [result for result in one.task.results if result.kind != "yardstick"]
        results = [replace(result, pairs_per_second=speeds.get(result.row)) for result in models]
        yield one.title, figures.accuracy_against_speed(results, f"speed-{number}")
