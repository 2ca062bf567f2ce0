"""Fragments of a run: small files of each finished row and teacher, to be kept where they outlive the machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmkd.data.fragment import read_fragment
from tmkd.data.logit_fragment import logits_path, write_logits
from tmkd.errors import TmkdError
from tmkd.flow.best_teacher import NotYet
from tmkd.flow.checkout import commit_of
from tmkd.flow.measure import labelled_sets, predictions, results, seen
from tmkd.flow.measured import Measured, measured_rows
from tmkd.flow.run_folder import RunFolder
from tmkd.machine import machine_line
from tmkd.recipe.agreement import FRAGMENT
from tmkd.recipe.seeds import unseeded
from tmkd.store import digest_bytes, digest_json, read_manifest, sealed, versions

if TYPE_CHECKING:
    from tmkd.data.pairs import Corpus
    from tmkd.report.row_fragment import MeasuredSpeed, Origin
    from tmkd.teachers.teacher import Teacher

REPORT = "report"  # folder of the report's artifact
# Settings without a say in a result.
_BESIDE = {"extra", "force", "seeds", "checkpoint_steps", "tensorboard", "token_budget"}
_ENTRY, _MADE_OF = "entry", "made of"  # among the facts of a teacher's fragment


def results_folder(run: Path) -> Path:
    """Folder of the fragments of a run's folder: `results/NAME`, beside the folder of all runs."""
    return run.parent.parent / "results" / run.name


class FragmentWriter:
    """Writer of a run's fragments: of a row once its predictions are done, of a teacher once its corpora are scored."""

    def __init__(self, run: RunFolder) -> None:
        self._run, self._folder = run, results_folder(run.folder)
        self._done: set[Path] = set()  # artifacts
        self._written: set[object] = set()  # names of teachers; rows, and rows with their speed

    def add(self, artifact: Path) -> None:
        """Note that an artifact is done, and write the fragments that it completes.

        Raises: TmkdError when one cannot be written.
        """
        self._done.add(artifact)
        run, timed = self._run, self._run.folder / REPORT in self._done
        if artifact.is_relative_to(run.folder / "softlabels"):
            for part in run.replicates:
                self._add_teachers(part)
        with suppress(NotYet):  # the rows before it are yielded
            for place, row in _placed(run):
                predicted = all(run.predictions_folder(row.task, key) in self._done for key in row.keys)
                written = (row.task, row.kind, row.row, row.seed, row.teachers_seed, timed)
                if predicted and written not in self._written:
                    self._written.add(written)
                    _write_row(run, place, row, timed, self._folder)

    def _add_teachers(self, run: RunFolder) -> None:
        for name, teacher in run.teachers.items():
            corpora = [corpus for corpus in run.corpora() if name in run.scorers(corpus)]
            scored = bool(corpora) and all(run.soft_folder(corpus, name) in self._done for corpus in corpora)
            if teacher.pretrained is not None and scored and name not in self._written:
                self._written.add(name)
                earlier = [one for one in run.recipe.collect if one not in corpora and name in run.scorers(one)]
                corpora += [one for one in earlier if read_manifest(run.soft_folder(one, name)) is not None]
                _write_teacher(run, teacher, corpora, self._folder)


def _placed(run: RunFolder) -> Iterator[tuple[int, Measured]]:
    """Rows of the report, each with its place among the names of its kind: those of the whole recipe come first."""
    whole = run.asked.order
    places: dict[str, dict[str, int]] = {}
    for row in measured_rows(run):
        of_kind = places.setdefault(row.kind, {name: place for place, name in enumerate(whole.get(row.kind, ()))})
        yield of_kind.setdefault(row.row, len(of_kind)), row


def _write_row(run: RunFolder, place: int, row: Measured, timed: bool, folder: Path) -> None:
    """Write a row's fragment, unless the file has these predictions, what its models have seen, and the row's speed.

    A row that is not timed now keeps the speed that its file has.
    """
    from tmkd.report.row_fragment import RowFragment, read_row, row_path, write_row

    speed = _speed(run, row) if timed else None
    made_of = tuple(sealed(run.predictions_folder(row.task, key)).digest for key in row.keys)
    origin = None
    if (path := row_path(folder, row)).is_file():
        with suppress(TmkdError):  # a damaged one is written anew
            before, _ = read_row(path)
            if before.made_of == made_of:
                origin = before.origin  # of the predictions; a speed has its own machine
                known = [one.seen for one in before.results]
                speed = before.speed if speed is None else speed
                if speed == before.speed and known == [seen(run, row, one.split) for one in before.results]:
                    return
    tests, predicted = labelled_sets(run), predictions(run, [row])
    timings = {} if speed is None else {(row.task, row.keys): speed.speed}
    labels, own = run.labels(row.task), tests[row.task]
    fragment = RowFragment(
        run=run.asked.name,
        place=place,
        results=tuple(results(run, predicted, tests, timings)),
        speed=speed,
        origin=origin or _origin(run, row),
        recipe=recipe_digests(run, row.row, row.task),
        classes=labels.names,
        positive=labels.positive_index,
        tests={test.split: pairs_digest(run.corpus(f"{row.task}/{test.split}")) for test in own},
        made_of=made_of,
        task_place=list(run.asked.tasks).index(row.task),
    )
    write_row(folder, fragment, {test.split: (test, predicted[row][test.split]) for test in own})


def _speed(run: RunFolder, row: Measured) -> MeasuredSpeed | None:
    """Speed of a row in the run's report."""
    from tmkd.report.report_json import read_report
    from tmkd.report.row_fragment import MeasuredSpeed

    report = read_report(run.folder / REPORT / "report.json")
    name = f"{row.task}: {row.row}" if len(run.recipe.tasks) > 1 else row.row
    speed = report.speeds.get(name)
    return None if speed is None else MeasuredSpeed(report.machine, speed, report.timed)


def _origin(run: RunFolder, row: Measured) -> Origin:
    from tmkd.report.row_fragment import Origin

    made_with = sealed(row.made_by[-1]).versions if row.made_by else versions()
    return Origin(
        machine_line(), time.strftime("%Y-%m-%d"), commit_of(run.recipe_base, results_folder(run.folder)), made_with
    )


def pairs_digest(corpus: Corpus) -> str:
    """Digest of a corpus's pairs and labels, in order."""
    return digest_bytes(corpus.id_array().tobytes() + corpus.label_array().tobytes())


def row_part(row: str, task: str) -> str:
    """Name of the part of the recipe that a row on one task has for itself: it may be another on another task."""
    return f"rows.{row} on {task}"


def recipe_digests(run: RunFolder, row: str, task: str) -> dict[str, str]:
    """Digest of each part of the recipe that all rows share, of one row and of those whose steps it takes.

    Seeds, devices and folders have no say in them.
    """
    recipe = run.asked
    taught = sorted(name for name, teacher in recipe.teachers.items() if not teacher.named)
    parts: dict[str, object] = {"student": recipe.student, "teachers": taught}
    parts |= {f"tasks.{name}": entry for name, entry in recipe.tasks.items()}
    parts |= {f"collect.{name}": corpus for name, corpus in recipe.collect.items()}
    entries = {f"teachers.{name}": _entry(run, name) for name in recipe.teachers}
    ours = [row] if row in recipe.rows else []
    ours += [stage.steps_of for one in ours for stage in recipe.rows[one].stages if stage.steps_of]
    own = {row_part(one, task): _digest(recipe.rows[one].on(task)) for one in ours}
    return {name: _digest(part) for name, part in parts.items()} | entries | own


def _entry(run: RunFolder, teacher: str) -> str:
    """Digest of a teacher's entry; of one whose logits are a fragment, that of the entry which it was made by."""
    spec = run.asked.teachers[teacher]
    file = spec.file
    if file is not None and file.file.endswith(FRAGMENT):
        facts, _ = read_fragment(run.base / Path(file.file).expanduser())
        return str(facts.get(_ENTRY))
    return _digest(spec)


def _digest(part: Any) -> str:
    return digest_json(_settled(part.model_dump(mode="json") if hasattr(part, "model_dump") else part))[:16]


def _settled(value: Any) -> Any:
    """A setting without those inside it that have no say in a result."""
    if isinstance(value, dict):
        return {key: _settled(inner) for key, inner in value.items() if key not in _BESIDE}
    return [_settled(one) for one in value] if isinstance(value, list) else value


def _write_teacher(run: RunFolder, teacher: Teacher, corpora: list[str], folder: Path) -> None:
    """Write a teacher's logits of these corpora, unless the file holds them, among others perhaps."""
    from tmkd.data.softlabels import SoftLabels

    columns = {corpus: run.column(corpus, teacher.name) for corpus in corpora}
    made_of = {corpus: [run.corpus(corpus).digest, column.digest] for corpus, column in columns.items()}
    path = logits_path(folder, teacher.name)
    if path.is_file():
        with suppress(TmkdError):
            if made_of.items() <= read_fragment(path)[0].get(_MADE_OF, {}).items():
                return
    found = {}
    for corpus, column in columns.items():
        pairs = run.corpus(corpus)
        found[corpus] = pairs.id_array(), SoftLabels.load(pairs, [column]).logits[:, 0]
    facts = {
        _ENTRY: _entry(run, unseeded(teacher.name)),
        _MADE_OF: made_of,
        "machine": machine_line(),
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit_of(run.recipe_base, results_folder(run.folder)),
        "versions": sealed(run.teacher_folder(teacher.name)).versions,
    }
    write_logits(folder, teacher.name, run.labels(teacher.spec.task), found, facts)
