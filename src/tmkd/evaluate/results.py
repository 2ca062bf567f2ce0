"""Results of rows, and the lines of a table over seeds and splits (the shape of Table 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Literal, Protocol, TypeVar

from tmkd.metrics.calibration import ReliabilityBin

Kind = Literal["yardstick", "teacher", "ensemble", "student", "bundle"]
Read = Callable[["Result"], "float | None"]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Result:
    """One row measured on one split with one seed and one teachers' seed.

    Measures are shares in [0, 1], None where they mean nothing; `parameters` and `bytes` (on disk) count all members of
    a row; `questions` were ranked and `left_out` could not be; `seconds_to_make` is the wall time of all its steps;
    `warnings` say that its model has learned nothing, or that its classes cannot be read; `seen` are the pretrained
    models that it starts or learns from and that were trained on the test set's source. `dev` is the row's accuracy
    on its task's dev set, None where it has none; `ndcg_10` takes labels as gains, `ndcg_10_graded` grades; `ece` is
    the expected calibration error, `reliability` its bins.
    """

    row: str
    kind: Kind
    task: str
    split: str
    accuracy: float
    auc: float | None
    mrr: float | None
    map: float | None
    ndcg_10: float | None
    parameters: int
    bytes: int
    pairs_per_second: float | None
    seed: int
    seconds_to_make: float | None
    questions: int = 0
    left_out: int = 0
    warnings: tuple[str, ...] = ()
    teachers_seed: int = 1
    dev: float | None = None
    ndcg_10_graded: float | None = None
    ece: float | None = None
    reliability: tuple[ReliabilityBin, ...] = ()
    seen: tuple[str, ...] = ()


class Row(Protocol):
    """Row with its seeds: a result's or a measured one's."""

    @property
    def task(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def row(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def teachers_seed(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Stat:
    """A mean over seeds and their sample standard deviation; one seed has none."""

    mean: float
    deviation: float | None = None

    def show(self, form: Callable[[float], str]) -> str:
        """Written `mean ± deviation`, both through `form`."""
        return form(self.mean) if self.deviation is None else f"{form(self.mean)} ± {form(self.deviation)}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: a row of one task, over all its seeds; `speed_up` is over the task's best teacher by dev.

    Accuracy, AUC and ECE are of `split`, the ranking measures of `ranked_split`, None where the row was not ranked;
    `warned` is true where one of its results has warnings, `seen` where a model of it has seen the source of `split`.
    """

    row: str
    kind: Kind
    task: str
    split: str
    ranked_split: str | None
    accuracy: Stat
    auc: Stat | None
    mrr: Stat | None
    map: Stat | None
    ndcg_10: Stat | None
    parameters: int
    bytes: int
    pairs_per_second: float | None
    speed_up: float | None
    seconds_to_make: float | None
    seeds: int
    questions: int
    left_out: int
    warned: bool = False
    seen: bool = False
    best: bool = False
    dev: Stat | None = None
    ndcg_10_graded: Stat | None = None
    ece: Stat | None = None


def lines(results: Sequence[Result]) -> list[Line]:
    """One line per task and row, in the order met: accuracy, AUC and ECE of the task's first split, ranking measures of
    its last split that can be ranked. The student with the highest accuracy on its task's dev set is marked `best`.
    """
    found: list[Line] = []
    for task in distinct(result.task for result in results):
        own = [result for result in results if result.task == task]
        found += _lines(own, own[0].split, ranked_split(own) or own[0].split)
    return found


def ranked_split(results: Sequence[Result]) -> str | None:
    """The last split, in the order met, on which a row of one task was ranked; None without one."""
    ranked = {result.split for result in results if result.mrr is not None}
    return next((split for split in reversed(distinct(result.split for result in results)) if split in ranked), None)


def split_lines(results: Sequence[Result]) -> list[Line]:
    """One line per task, split and row, in the order met: every measure of every split."""
    places = distinct((result.task, result.split) for result in results)
    return [
        line
        for task, split in places
        for line in _lines([result for result in results if (result.task, result.split) == (task, split)], split, split)
    ]


def best_teacher(of: Iterable[Line]) -> Line | None:
    """The single teacher with the highest accuracy on dev, the first of equals; None without one measured there."""
    return _best(of, "teacher")


def best_student(of: Iterable[Line]) -> Line | None:
    """The student with the highest accuracy on dev, the first of equals; None without one measured there."""
    return _best(of, "student")


def _best(of: Iterable[Line], kind: Kind) -> Line | None:
    own = [(line.dev.mean, line) for line in of if line.kind == kind and line.dev is not None]
    return max(own, key=lambda one: one[0])[1] if own else None


def _lines(own: Sequence[Result], first: str, last: str) -> list[Line]:
    """Lines of one task: accuracy and AUC read on split `first`, ranking measures on split `last`."""
    found = []
    for row in distinct(result.row for result in own):
        of_row = [result for result in own if result.row == row]
        judged = [result for result in of_row if result.split == first]
        ranked = [result for result in of_row if result.split == last and result.mrr is not None]
        accuracy = _stat(judged, lambda result: result.accuracy)
        if accuracy is None:  # an accuracy of another split would not compare
            continue
        found.append(
            Line(
                row=row,
                kind=judged[0].kind,
                task=judged[0].task,
                split=judged[0].split,
                ranked_split=last if ranked else None,
                accuracy=accuracy,
                auc=_stat(judged, lambda result: result.auc),
                mrr=_stat(ranked, lambda result: result.mrr),
                map=_stat(ranked, lambda result: result.map),
                ndcg_10=_stat(ranked, lambda result: result.ndcg_10),
                parameters=judged[0].parameters,
                bytes=judged[0].bytes,
                pairs_per_second=_mean(judged, lambda result: result.pairs_per_second),
                speed_up=None,
                seconds_to_make=_mean(judged, lambda result: result.seconds_to_make),
                seeds=len({(result.teachers_seed, result.seed) for result in judged}),
                questions=max((result.questions for result in of_row if result.split == last), default=0),
                left_out=max((result.left_out for result in of_row if result.split == last), default=0),
                warned=any(result.warnings for result in of_row),
                seen=any(result.seen for result in judged),
                dev=_stat(judged, lambda result: result.dev),
                ndcg_10_graded=_stat(ranked, lambda result: result.ndcg_10_graded),
                ece=_stat(judged, lambda result: result.ece),
            )
        )
    return _compared(found)


def _compared(found: Sequence[Line]) -> list[Line]:
    """The lines of one task with speed-ups over its best teacher by dev, and its best student by dev marked."""
    teacher, student = best_teacher(found), best_student(found)
    base = teacher.pairs_per_second if teacher else None
    return [
        replace(
            line,
            speed_up=line.pairs_per_second / base if base and line.pairs_per_second else None,
            best=line is student,
        )
        for line in found
    ]


def _stat(results: Sequence[Result], read: Read) -> Stat | None:
    values = [value for result in results if (value := read(result)) is not None]
    if not values:
        return None
    return Stat(mean(values), stdev(values) if len(values) > 1 else None)


def _mean(results: Sequence[Result], read: Read) -> float | None:
    stat = _stat(results, read)
    return None if stat is None else stat.mean


def distinct(values: Iterable[Item]) -> list[Item]:
    """The values without repeats, in the order met."""
    return list(dict.fromkeys(values))
