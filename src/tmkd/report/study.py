"""Rows of one run with their predictions, task by task, as the paper's report compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import mean
from typing import TypeVar

from tmkd.evaluate.comparisons import Comparison, Seeds, accuracy_differences, by_row
from tmkd.evaluate.measures import LabelledSet
from tmkd.evaluate.results import Line, Result, best_student, best_teacher, distinct, lines
from tmkd.evaluate.seen import seen_lines
from tmkd.evaluate.speed import Speed
from tmkd.report.paper_tables import (
    COMMQA,
    OF_LARGE,
    OF_TWO_CORPORA,
    PUBLIC,
    TABLES,
    TMKD_BASE,
    Corpora,
    Model,
    PaperSet,
    known_rows,
    row_name,
)
from tmkd.report.report_json import DataSet
from tmkd.report.row_fragment import RowFragment, Tested

Key = TypeVar("Key")
Texts = tuple[Sequence[str], Sequence[str]]  # questions and passages of a test set
_LARGE = "collect.large"  # the paper's second stage-1 corpus, among the parts of a fragment's recipe


@dataclass(frozen=True, eq=False)
class Study:
    """Rows of one run; where its run folder is at hand, its data sets, and the texts of each task's first test set."""

    name: str
    rows: tuple[tuple[RowFragment, Tested], ...]
    data: tuple[DataSet, ...] = ()
    texts: Mapping[str, Texts] = field(default_factory=dict)

    @cached_property
    def tasks(self) -> list[StudyTask]:
        """Tasks in the order met."""
        found = []
        for task in distinct(row.first.task for row, _ in self.rows):
            of = next((one for one in (*PUBLIC, COMMQA) if task in one.tasks), None)
            found.append(StudyTask(self, task, of, tuple(one for one in self.rows if one[0].first.task == task)))
        return found


@dataclass(frozen=True, eq=False)
class StudyTask:
    """One task of a study; `of` is the paper's data set that it stands for. Accuracies are of `sets`."""

    study: Study
    name: str
    of: PaperSet | None
    rows: tuple[tuple[RowFragment, Tested], ...]

    @property
    def title(self) -> str:
        """Task and run in words."""
        return f"{self.name} of {self.study.name}"

    @cached_property
    def sets(self) -> list[LabelledSet]:
        """Test sets whose mean accuracy is compared: those that the paper averages, or the first one."""
        tested = self.rows[0][1]
        averaged = () if self.of is None else self.of.averaged
        names = averaged if averaged and set(averaged) <= tested.keys() else (next(iter(tested)),)
        return [tested[name][0] for name in names]

    @cached_property
    def measured(self) -> list[list[Result]]:
        """Results of each row and seed on `sets`."""
        splits = [test.split for test in self.sets]
        return [[one for one in row.results if one.split in splits] for row, _ in self.rows]

    @cached_property
    def results(self) -> list[Result]:
        """Result of each row and seed, its accuracy the mean over `sets`, `seen` what is of one of them."""
        return [
            replace(
                row.first,
                accuracy=mean(one.accuracy for one in own),
                seen=tuple(distinct(model for one in own for model in one.seen)),
            )
            for (row, _), own in zip(self.rows, self.measured, strict=True)
        ]

    @property
    def seen(self) -> list[str]:
        """Lines on what models of its rows have seen of `sets`."""
        return [*seen_lines([one for own in self.measured for one in own])]

    @cached_property
    def lines(self) -> dict[str, Line]:
        """Line of each row over its seeds."""
        return {line.row: line for line in lines(self.results)}

    @cached_property
    def teacher(self) -> Line | None:
        """Best teacher by dev."""
        return best_teacher(self.lines.values())

    @cached_property
    def student(self) -> Line | None:
        """Best student by dev."""
        return best_student(self.lines.values())

    @cached_property
    def seeds(self) -> dict[str, Seeds]:
        """Probabilities of each row by seeds and test set."""
        predicted = (
            (row.first, {split: probabilities for split, (_, probabilities) in tested.items()})
            for row, tested in self.rows
        )
        return by_row(predicted)

    def line(self, model: Model) -> Line | None:
        """Line of a row of the paper; None where it was not run."""
        if model.kind == "teacher":
            return self.teacher
        line = self.lines.get(row_name(model, self._corpora))
        return line if line is not None and line.kind == model.kind else None

    def lines_at_common_seeds(self, models: Mapping[Key, Model]) -> dict[Key, Line]:
        """Lines of those of some rows that were run, students over the seeds that all of them have, if there is one."""
        known = {key: line for key, model in models.items() if (line := self.line(model)) is not None}
        seeds = [{*self.seeds[line.row]} for line in known.values() if line.kind == "student"]
        common = set[tuple[int, int]].intersection(*seeds) if seeds else set()
        of = [one for one in self.results if one.kind != "student" or (one.teachers_seed, one.seed) in common]
        found = {line.row: line for line in lines(of)} if common else self.lines
        return {key: found[line.row] for key, line in known.items()}

    @cached_property
    def _corpora(self) -> Corpora:
        """Which of the paper's base and large corpora the recipe and its finished rows know."""
        if _LARGE not in self.rows[0][0].recipe and OF_TWO_CORPORA.isdisjoint(self.lines):
            return "one"
        return "base" if OF_LARGE.isdisjoint(self.lines) else "both"

    @cached_property
    def beyond(self) -> list[Line]:
        """Students, bundles and yardsticks that are no row of the paper."""
        known = {*known_rows(self._corpora)}
        return [
            line for row, line in self.lines.items() if row not in known and line.kind not in ("teacher", "ensemble")
        ]

    @cached_property
    def base(self) -> Line | None:
        """Row that those beyond the paper are compared with: TMKD base, or the best student by dev without it."""
        return self.line(TMKD_BASE) or self.student

    def difference(self, line: Line, other: Line) -> Comparison:
        """Difference of accuracy of two of the paper's rows, or of one beyond it and `base`."""
        return self._differences[line.row, other.row]

    @cached_property
    def _differences(self) -> dict[tuple[str, str], Comparison]:
        """All that the report may ask for, from the same draws."""
        asked = [(self.line(row), self.line(other)) for table in TABLES for row, other in table.differences]
        asked += [(line, self.base) for line in self.beyond]
        pairs = distinct((one.row, other.row) for one, other in asked if one is not None and other is not None)
        found = accuracy_differences(self.seeds, pairs, self.sets)
        return dict(zip(pairs, found, strict=True))

    @cached_property
    def speeds(self) -> dict[str, dict[str, Speed]]:
        """Speed of each row, the first seed's, by measurement: speeds of two measurements do not compare."""
        found: dict[str, dict[str, Speed]] = {}
        for row, _ in self.rows:
            if row.speed is not None:
                found.setdefault(row.speed.measurement, {}).setdefault(row.first.row, row.speed.speed)
        return found
