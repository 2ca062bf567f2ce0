"""From teachers and students to measured rows and the report (§4); what the flow's `evaluate` steps make."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tmkd.pairs import Corpus
from tmkd.store import Manifest, read_manifest, verify, write_atomic

if TYPE_CHECKING:
    from tmkd.evaluate.scorers import Scorer
    from tmkd.evaluate.tables import Result
    from tmkd.flow import Flow

PROBABILITIES = "probabilities"


def predict(flow: Flow, task: str, model: Path, teacher: str | None, folder: Path, shown: str) -> dict[str, Any]:
    """Store a model's probabilities, float64 (pairs, classes), for every test set of a task; returns its size."""
    from safetensors.numpy import save

    from tmkd.progress import progress
    from tmkd.train.precision import pick_device, pick_precision

    device = pick_device(flow.recipe.device)
    precision = pick_precision(flow.recipe.precision, device)
    scorer = _scorer(flow, shown, model, teacher, device, precision)
    splits = {
        split: Corpus.open(flow.corpus_folder(f"{task}/{split}")).table() for split in flow.recipe.tasks[task].tests
    }
    total, done = sum(table.num_rows for table in splits.values()), 0
    with progress(f"evaluate {shown}", "pairs") as report:
        for split, table in splits.items():
            stored = folder / f"{split}.safetensors"
            if stored.is_file():  # by an interrupted run with the same inputs
                done += table.num_rows
                continue
            parts = []
            for part in (table.slice(start, 2048) for start in range(0, table.num_rows, 2048)):
                parts.append(scorer.probabilities(part["question"].to_pylist(), part["passage"].to_pylist()))
                done += part.num_rows
                report(done, total)
            write_atomic(stored, save({PROBABILITIES: np.concatenate(parts)}))
    return {"parameters": scorer.parameters, "bytes": scorer.bytes, "precision": precision, "pairs": total}


def _scorer(flow: Flow, name: str, model: Path, teacher: str | None, device: str, precision: str) -> Scorer:
    from tmkd.evaluate.scorers import from_student_folder, from_teacher_folder

    if teacher is None:
        return from_student_folder(name, model, device, precision)
    entry = flow.recipe.teachers[teacher]
    folder = flow.pretrained(entry.model).path if entry.model else model
    return from_teacher_folder(
        name, folder, flow.labels(entry.task), entry.classes, entry.max_length, device, precision
    )


@dataclass(frozen=True)
class Measured:
    """A row to be measured: the predictions it is the mean of, and the artifacts whose making it took."""

    row: str
    kind: Literal["teacher", "ensemble", "student"]
    task: str
    seed: int
    keys: tuple[str, ...]
    made_by: tuple[Path, ...]


def measured_rows(flow: Flow) -> Iterator[Measured]:
    """Every row of the report: the teachers, their ensemble, then the recipe's rows."""
    for task in flow.recipe.tasks:
        teachers = [name for name, entry in flow.recipe.teachers.items() if entry.task == task and entry.file is None]
        for name in teachers:
            made = (flow.teacher_folder(name),)
            yield Measured(name, "teacher", task, flow.recipe.teachers[name].seed, (f"teacher-{name}",), made)
        if len(teachers) > 1:
            keys = tuple(f"teacher-{name}" for name in teachers)
            all_made = tuple(flow.teacher_folder(name) for name in teachers)
            yield Measured("ensemble", "ensemble", task, flow.recipe.teachers[teachers[0]].seed, keys, all_made)
    for row, task, seed in flow.placed_rows():
        students = flow.row_students(row, task, seed)
        stages = {
            flow.student_folder(chain[:depth], seed): None
            for _, chain in students
            for depth in range(1, len(chain) + 1)
        }
        yield Measured(row, "student", task, seed, tuple(folder.name for folder, _ in students), tuple(stages))


def report(flow: Flow, folder: Path) -> dict[str, Any]:
    """Measure every row, time them side by side, and write report.json and report.html."""
    from tmkd.evaluate.page import write_report_html
    from tmkd.evaluate.report import Report, data_set, write_report_json
    from tmkd.evaluate.speed import machine_line

    rows = list(measured_rows(flow))
    speeds = _speeds(flow, rows)
    results = [result for row in rows for result in _measure(flow, row, speeds)]
    names = [f"{task}/{split}" for task, entry in flow.recipe.tasks.items() for split in ("train", "dev", *entry.tests)]
    whole = Report(
        name=flow.recipe.name,
        date=time.strftime("%Y-%m-%d"),
        machine=machine_line(),
        seeds=flow.recipe.seeds,
        results=tuple(results),
        data=tuple(data_set(name, Corpus.open(flow.corpus_folder(name))) for name in (*names, *flow.recipe.collect)),
        speeds={
            f"{row.task}: {row.row}" if len(flow.recipe.tasks) > 1 else row.row: speeds[row.task, row.keys]
            for row in rows
        },
        notes=tuple(_notes(flow)),
    )
    write_report_json(folder / "report.json", whole)
    write_report_html(folder / "report.html", whole)
    return {"rows": len(results)}


def _speeds(flow: Flow, rows: list[Measured]) -> dict[tuple[str, tuple[str, ...]], Any]:
    """Pairs/s of every row on its task's first test set, by (task, keys): rows of one shape are timed once."""
    from tmkd.evaluate.scorers import MeanScorer
    from tmkd.evaluate.speed import measure
    from tmkd.train.precision import pick_device, pick_precision

    device = pick_device(flow.recipe.device)
    precision = pick_precision(flow.recipe.precision, device)
    settings = flow.recipe.evaluate
    found: dict[tuple[str, tuple[str, ...]], Any] = {}
    for task, entry in flow.recipe.tasks.items():
        own = [row for row in rows if row.task == task]
        table = Corpus.open(flow.corpus_folder(f"{task}/{next(iter(entry.tests))}")).table().slice(0, settings.pairs)
        shapes: dict[tuple[Any, ...], Measured] = {}
        for row in own:
            shapes.setdefault(_shape(flow, row), row)
        scorers = [
            MeanScorer(
                str(shape),
                tuple(
                    _scorer(
                        flow,
                        key,
                        made,
                        key.removeprefix("teacher-") if row.kind != "student" else None,
                        device,
                        precision,
                    )
                    for key, made in _models(flow, row)
                ),
            )
            for shape, row in shapes.items()
        ]
        if not scorers:
            continue
        print(f"timing {len(scorers)} kinds of row on {table.num_rows} pairs", file=sys.stderr)
        timed = measure(
            scorers, table["question"].to_pylist(), table["passage"].to_pylist(), settings.repeats, settings.batch
        )
        for row in own:
            found[task, row.keys] = timed[str(_shape(flow, row))]
    return found


def _shape(flow: Flow, row: Measured) -> tuple[Any, ...]:
    """What a row's speed depends on: not its weights, so rows alike but for the headers share one timing."""
    if row.kind != "student":
        teachers = [flow.recipe.teachers[key.removeprefix("teacher-")] for key in row.keys]
        return tuple(str((teacher.base or teacher.model, teacher.max_length)) for teacher in teachers)
    return (len(row.keys), *flow.recipe.student.model_dump().values())


def _models(flow: Flow, row: Measured) -> list[tuple[str, Path]]:
    """The row's members and their folders, checked byte by byte."""
    if row.kind == "student":
        folders = [flow.folder / "students" / key for key in row.keys]
    else:
        folders = [flow.teacher_folder(key.removeprefix("teacher-")) for key in row.keys]
    for folder in folders:
        verify(folder)
    return list(zip(row.keys, folders, strict=True))


def _measure(flow: Flow, row: Measured, speeds: dict[tuple[str, tuple[str, ...]], Any]) -> Iterator[Result]:
    """The row on every test set of its task: the mean of its members' probabilities (Eq. 6 is inside each)."""
    from tmkd.evaluate.tables import Result
    from tmkd.quality import accuracy, auc, ranking

    manifests = [_sealed(flow.predictions_folder(row.task, key)) for key in row.keys]
    positive = flow.labels(row.task).positive_index
    for split in flow.recipe.tasks[row.task].tests:
        pairs = Corpus.open(flow.corpus_folder(f"{row.task}/{split}"))
        labels = pairs.label_array()
        probabilities = np.mean(
            [_probabilities(flow.predictions_folder(row.task, key), split) for key in row.keys], axis=0
        )
        positives = (labels == positive).astype(np.int64)
        scores = probabilities[:, positive]
        ranked = ranking(scores, positives, pairs.table()["group"].to_pylist())
        yield Result(
            row=row.row,
            kind=row.kind,
            task=row.task,
            split=split,
            accuracy=accuracy(probabilities, labels),
            auc=auc(scores, positives),
            mrr=ranked.mrr,
            map=ranked.map,
            ndcg_10=ranked.ndcg_10,
            parameters=sum(manifest.facts["parameters"] for manifest in manifests),
            bytes=sum(manifest.facts["bytes"] for manifest in manifests),
            pairs_per_second=speeds[row.task, row.keys].pairs_per_second,
            seed=row.seed,
            seconds_to_make=round(sum(_sealed(folder).seconds for folder in row.made_by), 1),
            questions=ranked.questions,
            left_out=ranked.left_out,
        )


def _sealed(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    assert manifest is not None, folder
    return manifest


def _probabilities(folder: Path, split: str) -> np.ndarray:
    from safetensors.numpy import load_file

    return np.asarray(load_file(folder / f"{split}.safetensors")[PROBABILITIES])


def _notes(flow: Flow) -> Iterator[str]:
    """What the numbers need to be read well: removals by the leakage guard, and the teachers' health."""
    for name in (*flow.recipe.tasks, *flow.recipe.collect):
        facts = {key: value for key, value in _sealed(flow.folder / "pairs" / name).facts.items() if value}
        if facts:
            yield f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items())
    yield from health_lines(flow)


def health_lines(flow: Flow) -> Iterator[str]:
    """One line per teacher and corpus it scores: dev accuracy, logits, constants, agreement; then warnings."""
    from tmkd.distill.rows import declared
    from tmkd.softlabels import SoftLabels, dominance_warning, health

    for corpus in [*(f"{task}/dev" for task in flow.recipe.tasks), *flow.recipe.collect]:
        names = [name for name in declared(flow.recipe, corpus) if read_manifest(flow.soft_folder(corpus, name))]
        if not names:
            continue
        pairs = Corpus.open(flow.corpus_folder(corpus))
        soft = SoftLabels.load(pairs, [flow.column(corpus, name) for name in names])
        labels = pairs.label_array()
        healths = health(labels if (labels >= 0).all() else None, soft)
        for one in healths:
            correct = "" if one.accuracy is None else f"accuracy {100 * one.accuracy:.1f}, "
            agreement = ", ".join(f"{other} {100 * share:.1f}" for other, share in one.agreement.items())
            yield (
                f"{corpus} × {one.teacher}: {correct}logits {one.mean:.2f} ± {one.spread:.2f}, "
                f"constant {100 * one.constant:.1f} %" + (f", agrees with {agreement} %" if agreement else "")
            )
        warning = dominance_warning(healths)
        if warning:
            yield f"warning: {corpus}: {warning}"


def show(flow: Flow, as_json: bool) -> None:
    """Print the report's table (or report.json) on stdout and put report.json and report.html into the run folder."""
    from rich.console import Console

    from tmkd.evaluate.report import read_report
    from tmkd.evaluate.tables import table

    folder = flow.folder / "report"
    verify(folder)
    for name in ("report.json", "report.html"):
        data = (folder / name).read_bytes()
        copy = flow.folder / name
        if not copy.is_file() or copy.read_bytes() != data:
            write_atomic(copy, data)
    if as_json:
        print((folder / "report.json").read_text(), end="")
        return
    Console().print(table(read_report(folder / "report.json").results))
    print(f"\n{flow.folder / 'report.html'}", file=sys.stderr)
