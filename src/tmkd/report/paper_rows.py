"""Data sets, rows beyond the paper, confusion, differing pairs and origins of our numbers in the paper's report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tmkd.evaluate.confusion import confusion, disagreements
from tmkd.evaluate.measures import Probabilities
from tmkd.report.formatting import integer, percent
from tmkd.report.paper_cells import SEEN, Cell, Table, accuracy_cell, difference_cell
from tmkd.report.paper_tables import TABLE_3, UNLABELLED, PaperSet
from tmkd.report.report_json import DataSet
from tmkd.report.row_fragment import origin_lines
from tmkd.report.study import Study, StudyTask

PAIRS_SHOWN = 20
_UNKNOWN = "not in fragments"


class Opinion(NamedTuple):
    """Likeliest class of a model for a pair, and its probability."""

    row: str
    label: str
    probability: float


class DifferingPair(NamedTuple):
    """Pair of a test set on which a student and its teachers differ."""

    question: str
    passage: str
    label: str
    opinions: Sequence[Opinion]


class DifferingPairs(NamedTuple):
    """The pairs of one task on which a student and the mean of its teachers differ most; none without texts."""

    title: str
    student: str
    pairs: Sequence[DifferingPair]
    texts: bool


def data_table(studies: Sequence[Study]) -> Table:
    """Table 3: pairs and mean words of the paper's sets, and below each ours."""
    rows = []
    for of in TABLE_3:
        words = [Cell(f"{of.question_words:.2f}"), Cell(f"{of.answer_words:.2f}")]
        rows += [(of.name if not name else f"{of.name} ({name})", [Cell(size), *words]) for size, name in of.sizes]
        rows += [(name, cells) for own, name, cells in _our_sets(studies) if own is of]
    rows += [(name, cells) for own, name, cells in _our_sets(studies) if own is None]
    remarks = [
        "Ours: labelled pairs of train / test (the first test set, or the sum of those that are averaged), mean words "
        "of train, split at white space. Fragments have no words and no training sets: name the run's folder for them."
    ]
    columns = [("pairs", "train / test"), ("words", "per question"), ("words", "per answer")]
    return Table("", columns, rows, remarks, "set")


def _our_sets(studies: Sequence[Study]) -> Iterator[tuple[PaperSet | None, str, list[Cell]]]:
    """Our sets with the paper's that each stands for: its name, its pairs and words."""
    for study in studies:
        data = {one.name: one for one in study.data}
        for task in study.tasks:
            train = data.get(f"{task.name}/train")
            tested = integer(sum(len(test.labels) for test in task.sets))
            trained = _UNKNOWN if train is None else integer(train.labelled)
            yield task.of, task.title, [Cell("", f"{trained} / {tested}"), *_words(train)]
        for name, one in data.items():
            if "/" not in name:
                yield UNLABELLED, f"{name} of {study.name}", [Cell("", integer(one.pairs)), *_words(one)]


def _words(one: DataSet | None) -> list[Cell]:
    means = (None, None) if one is None else (one.question_words, one.passage_words)
    return [Cell("", _UNKNOWN if mean is None else f"{mean:.2f}") for mean in means]


def beyond_tables(studies: Sequence[Study]) -> list[Table]:
    """Rows of each task that the paper does not have, beside TMKD base or the best student by dev."""
    found = []
    for task in _tasks(studies):
        if task.beyond and task.base is not None:
            rows = [
                (line.row, [accuracy_cell(line), difference_cell(task.difference(line, task.base))])
                for line in task.beyond
                if line.row != task.base.row
            ]
            columns = [("accuracy, %", ""), ("difference", f"to {task.base.row}, points")]
            remarks = [f"{SEEN}: {line}." for line in task.seen]
            found.append(Table(task.title, columns, rows, remarks))
    return found


def confusion_tables(studies: Sequence[Study]) -> list[Table]:
    """Pairs of each label by predicted class, of each task's best student and best teacher by dev."""
    found = []
    for task in _tasks(studies):
        test = task.sets[0]
        rows = []
        for line in (task.student, task.teacher):
            if line is not None:
                counts = confusion([by_split[test.split] for by_split in task.seeds[line.row].values()], test)
                for label, of_label in zip(test.names, counts, strict=True):
                    right = of_label[test.names.index(label)] / max(of_label.sum(), 1)
                    cells = [f"{count:,.1f}".removesuffix(".0") for count in of_label] + [percent(right)]
                    rows.append((f"{line.row}: {label}", [Cell("", cell) for cell in cells]))
        columns = [(name, "predicted") for name in test.names] + [("right, %", "")]
        if rows:
            found.append(Table(f"{task.title}, {test.split}", columns, rows, ["Pairs, the mean over seeds."], "label"))
    return found


def differing_pairs(studies: Sequence[Study]) -> list[DifferingPairs]:
    """Pairs on which each task's best student by dev, its first seed, and its teachers differ most."""
    found = []
    for task in _tasks(studies):
        student, teachers = task.student, [line.row for line in task.lines.values() if line.kind == "teacher"]
        if student is None or not teachers:
            continue
        texts = task.study.texts.get(task.name)
        pairs = [] if texts is None else list(_differing(task, student.row, teachers, texts[0], texts[1]))
        found.append(DifferingPairs(f"{task.title}, {task.sets[0].split}", student.row, pairs, texts is not None))
    return found


def _differing(
    task: StudyTask, student: str, teachers: Sequence[str], questions: Sequence[str], passages: Sequence[str]
) -> Iterator[DifferingPair]:
    test, seeds = task.sets[0], task.seeds
    first = next(iter(seeds[student]))
    own = seeds[student][first][test.split]
    theirs = {row: _of_seed(task, row, first[0]) for row in teachers}
    mean: Probabilities = np.mean(list(theirs.values()), axis=0)
    for pair, _ in disagreements(own, mean, PAIRS_SHOWN):
        opinions = [
            Opinion(row, test.names[int(values[pair].argmax())], float(values[pair].max()))
            for row, values in {student: own, **theirs}.items()
        ]
        yield DifferingPair(questions[pair], passages[pair], test.names[int(test.labels[pair])], opinions)


def _of_seed(task: StudyTask, teacher: str, teachers_seed: int) -> Probabilities:
    """Probabilities of a teacher with this teachers' seed; its only ones where it was not re-seeded."""
    seeds = task.seeds[teacher]
    return seeds.get((teachers_seed, 0), next(iter(seeds.values())))[task.sets[0].split]


def origins(studies: Sequence[Study], measurements: Sequence[str]) -> list[str]:
    """One line per run, machine, day, commit and versions with its rows and seeds, then the measurements of speeds."""
    found = [f"{study.name}: {line}" for study in studies for line in origin_lines([row for row, _ in study.rows])]
    return found + [f"Measurement {number} of speeds: {one}" for number, one in enumerate(measurements, 1)]


def _tasks(studies: Sequence[Study]) -> Iterator[StudyTask]:
    for study in studies:
        yield from study.tasks
