"""Tables that set our rows beside the paper's: accuracies and differences of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tmkd.evaluate.comparisons import Comparison
from tmkd.evaluate.results import Line, distinct
from tmkd.report.formatting import percent
from tmkd.report.paper_tables import Model, PaperRow, PaperSet, PaperTable
from tmkd.report.study import Study, StudyTask

NOT_RUN = "not run"
SEEN = "source seen"


class Cell(NamedTuple):
    """The paper's value, ours, and lines on ours in small print: interval, seeds; empty where there is none."""

    paper: str = ""
    ours: str = ""
    notes: tuple[str, ...] = ()


class Column(NamedTuple):
    """Data set of the paper, and the task of a study that stands for it; one of them may be absent."""

    of: PaperSet | None
    task: StudyTask | None

    @property
    def heading(self) -> tuple[str, str]:
        """The paper's name of the data set, and ours."""
        ours = NOT_RUN if self.task is None else self.task.title
        return ("not in the paper" if self.of is None else self.of.name), ours


class Table(NamedTuple):
    """Table of cells: columns as (name, small print), rows with their names, and the sentences below it.

    `heading` is empty where the section has no other table.
    """

    heading: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    remarks: Sequence[str] = ()
    label: str = "row"


def columns_of(table: PaperTable, studies: Sequence[Study]) -> list[Column]:
    """Columns of a table: each data set with the tasks for it in which a student of the table was run, then others."""
    students = [row.model for row in table.rows if row.model.kind == "student"]
    tasks = [task for study in studies for task in study.tasks if any(task.line(model) for model in students)]
    found: list[Column] = []
    for of in table.sets:
        own = [Column(of, task) for task in tasks if task.of is of]
        found += own or [Column(of, None)]
    return found + [Column(None, task) for task in tasks if task.of not in table.sets]


def accuracy_table(table: PaperTable, columns: Sequence[Column]) -> Table:
    """Accuracy of every row in per cent."""
    rows = [(row.model.name, [_accuracy(table, row, column) for column in columns]) for row in table.rows]
    remarks = ["Accuracy in per cent: the paper's above ours, ± the standard deviation over seeds."]
    return Table("Accuracy, %", [one.heading for one in columns], rows, [*remarks, *_stand_ins(table, columns)])


def difference_table(table: PaperTable, columns: Sequence[Column]) -> Table:
    """Differences of the table's rows in points of accuracy, with the interval of ours."""
    rows = [
        (f"{row.name} − {other.name}", [_difference(table, row, other, column) for column in columns])
        for row, other in table.differences
    ]
    told = "Points of accuracy, ours with 95 % intervals over questions and seeds"
    remarks = [f"{told} that both rows have; with one seed they hold no training noise."]
    return Table("Differences of rows", [one.heading for one in columns], rows, remarks)


def paper_difference(table: PaperTable, row: Model, other: Model, of: PaperSet | None) -> float | None:
    """Difference of two rows of the paper on a data set, in points; None where it prints none."""
    values = {one.model: one.accuracies for one in table.rows}
    if of not in table.sets or not values[row]:
        return None
    place = table.sets.index(of)
    return round(values[row][place] - values[other][place], 2)


def our_difference(row: Model, other: Model, column: Column) -> Comparison | None:
    """Difference of two rows in our run; None where one of them was not run."""
    if column.task is None:
        return None
    one, second = column.task.line(row), column.task.line(other)
    return None if one is None or second is None else column.task.difference(one, second)


def accuracy_cell(line: Line | None, paper: str = "") -> Cell:
    """Accuracy of a line over its seeds, marked where a model of it was trained on the set's source."""
    if line is None:
        return Cell(paper, NOT_RUN)
    marks = (SEEN,) if line.seen else ()
    return Cell(paper, line.accuracy.show(percent), (seeds_in_words(line.seeds), *marks))


def difference_cell(ours: Comparison | None, paper: str = "") -> Cell:
    """Difference in points with its interval, and the number of seeds of both rows."""
    if ours is None:
        return Cell(paper, NOT_RUN)
    seeds = (
        seeds_in_words(ours.seeds) if ours.seeds == ours.other_seeds else f"{ours.seeds} and {ours.other_seeds} seeds"
    )
    return Cell(paper, points(ours.value), (f"[{points(ours.low)}, {points(ours.high)}]", seeds))


def points(share: float) -> str:
    """A difference of two accuracies in points, with its sign."""
    return f"{100 * share:+.1f}"


def seeds_in_words(seeds: int) -> str:
    """Number of seeds in words."""
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def _accuracy(table: PaperTable, row: PaperRow, column: Column) -> Cell:
    known = row.accuracies and column.of in table.sets
    paper = f"{row.accuracies[table.sets.index(column.of)]:.2f}" if known and column.of is not None else ""
    return accuracy_cell(None if column.task is None else column.task.line(row.model), paper)


def _difference(table: PaperTable, row: Model, other: Model, column: Column) -> Cell:
    paper = paper_difference(table, row, other, column.of)
    return difference_cell(our_difference(row, other, column), "" if paper is None else f"{paper:+.2f}")


def _stand_ins(table: PaperTable, columns: Sequence[Column]) -> Iterator[str]:
    """Sentences on each run: its rows that stand for the paper's, the test sets and the best teacher of each task."""
    tasks = [column.task for column in columns if column.task is not None]
    for study in distinct(task.study for task in tasks):
        own = [task for task in tasks if task.study is study]
        found = [
            (row.model, line.row) for row in table.rows for task in own if (line := task.line(row.model)) is not None
        ]
        names = distinct(f"{model.name} is {row}" for model, row in found if model.kind == "student")
        yield f"{study.name}: {', '.join(names)}."
        sets = (
            f"{task.name} ({' and '.join(test.split for test in task.sets)}"
            + (f"; best teacher by dev: {task.teacher.row})" if task.teacher is not None else ")")
            for task in own
        )
        yield f"Its test sets: {', '.join(sets)}."
        for task in own:
            yield from (f"{SEEN}: {sentence}." for sentence in task.seen)
