"""Evaluation of a finished run on a new labelled file: every row scored, nothing of the run changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tmkd.errors import TmkdError, UsageError
from tmkd.flow.evaluate import scored
from tmkd.flow.measure import comparisons, measured_on, members
from tmkd.flow.measured import measured_rows
from tmkd.flow.plan import states
from tmkd.flow.run_folder import RunFolder
from tmkd.recipe.parts import SourceSpec
from tmkd.store import verify

if TYPE_CHECKING:
    from tmkd.collect.overlaps import Overlap
    from tmkd.evaluate.measures import LabelledSet, Probabilities
    from tmkd.flow.measure import Predicted
    from tmkd.report.report_json import Report

_NEEDED = ("collect", "teach", "score", "distill", "evaluate", "export")  # verbs whose steps a row is made by


def evaluate_file(run: RunFolder, recipe: Path, source: SourceSpec, task: str | None) -> Report:
    """Report on a labelled file, its name relative to the working folder: every row of a task, as in the run's report.

    Sizes, speeds and dev accuracies are those of the run's report. Raises: UsageError for a task that is not there;
    TmkdError for a faulty file, or a run that is not finished.
    """
    from tmkd.evaluate.measures import LabelledSet
    from tmkd.evaluate.shares import shares
    from tmkd.machine import machine_line
    from tmkd.report.report_json import Report, data_set_of, read_report

    task = _task(run, task)
    _require_finished(run, recipe)
    table = _read(run, source, task)
    test = LabelledSet.of(Path(source.file).stem, run.labels(task), table)
    folder = run.folder / "report"
    run.bring(folder)
    verify(folder)
    before = read_report(folder / "report.json")
    known = {(one.task, one.row, one.teachers_seed, one.seed): one for one in before.results}
    predicted = _predicted(run, task, test, table)
    found = tuple(
        replace(
            known[task, row.row, row.teachers_seed, row.seed],
            split=test.split,
            seen=(),  # nobody knows where the file is from
            **measured_on(row, by_split[test.split], test),
        )
        for row, by_split in predicted.items()
    )
    overlaps = tuple(_overlaps(run, task, table))
    return Report(
        name=f"{run.recipe.name} on {source.file}",
        date=time.strftime("%Y-%m-%d"),
        machine=machine_line(),
        seeds=run.seeds.students,
        teachers_seeds=run.seeds.teachers,
        results=found,
        comparisons=tuple(comparisons(predicted, {task: [test]}, found)),
        shares=tuple(shares(found, {task: test.base_rate})),
        data=(data_set_of(test.split, run.labels(task), [table]),),
        notes=(*map(str, overlaps), f"pairs/s and time to make: {before.machine}, {before.date}"),
        overlaps=overlaps,
    )


def _task(run: RunFolder, name: str | None) -> str:
    tasks = list(run.recipe.tasks)
    if name is None and len(tasks) > 1:
        raise UsageError(f"the recipe has several tasks; name the file's with --task: {', '.join(tasks)}")
    if name is not None and name not in tasks:
        raise UsageError(f"--task: no task '{name}'; there is {', '.join(tasks)}")
    return name or tasks[0]


def _require_finished(run: RunFolder, recipe: Path) -> None:
    """Check that every step of the rows and of the report is done. Raises: TmkdError naming the first that is not."""
    for step, now, _ in states(run):
        if step.verb in _NEEDED and now.kind != "done":
            why = f" ({now.why})" if now.why else ""
            raise TmkdError(f"{step.title} is {now.kind}{why}; finish the run first: tmkd run {recipe}")


def _read(run: RunFolder, source: SourceSpec, task: str) -> pa.Table:
    """Labelled pairs of the file, each once."""
    from tmkd.collect.judgments import read_labelled
    from tmkd.data.duplicates import deduplicate

    table, _ = read_labelled(source, Path.cwd(), run.labels(task), label="required")
    table, _ = deduplicate(table, run.recipe.tasks[task].conflicts)
    if not table.num_rows:
        raise TmkdError(f"{source.file}: no pair is left: each of them has two labels")
    return table


def _predicted(run: RunFolder, task: str, test: LabelledSet, table: pa.Table) -> Predicted:
    """Probabilities of every row of a task; a model that several rows share scores once."""
    from tmkd.progress import progress

    by_key: dict[str, Probabilities] = {}
    found = {}
    for row in measured_rows(run):
        if row.task != task:
            continue
        if not by_key.keys() >= {*row.keys}:
            for key, scorer in zip(row.keys, members(run, row), strict=True):
                if key not in by_key:
                    with progress(f"evaluate {row.row} (seed {row.seed})", "pairs") as report:
                        by_key[key] = scored(scorer, table, report, 0, table.num_rows)
        found[row] = {test.split: np.mean([by_key[key] for key in row.keys], axis=0)}
    return found


def _overlaps(run: RunFolder, task: str, table: pa.Table) -> Iterator[Overlap]:
    """Overlaps with the task's training pairs, near-duplicates too, and with its stage-1 corpora."""
    from tmkd.collect.overlaps import overlap

    stage_1 = [name for name, corpus in run.recipe.collect.items() if corpus.task == task]
    for name in (f"{task}/train", *stage_1):
        corpus = run.corpus(name)
        shards = (corpus.shard(index) for index in range(len(corpus.shards)))
        yield overlap(table, name, shards, near=name not in stage_1)
