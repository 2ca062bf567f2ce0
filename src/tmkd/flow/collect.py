"""Collect steps: the tasks' pairs, and the index, the questions and the pairs of each stage-1 corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.schema import CollectSpec, TaskSpec
from tmkd.store import sealed
from tmkd.train.estimate import Estimate

if TYPE_CHECKING:
    from tmkd.collect.guard import Guard

# Keys of a stage-1 corpus that its index, its questions and its pairs depend on.
_OF_INDEX = {"documents", "passages", "words", "overlap", "shortest", "language", "near"}
_OF_QUESTIONS = {"questions", "limit", "sample", "head", "near", "guard", "seed"}
_OF_PAIRS = {"task", "pairs", "run", "top", "keep", "limit", "shuffle", "guard", "seed"}

# Rough costs.
_PAIRS_PER_SECOND, _BYTES_PER_PAIR = 5000, 400
_READ_PER_SECOND = 2e6  # bytes of questions and documents


def collect_steps(run: RunFolder) -> Iterator[Step]:
    """Steps of the verb collect, in order."""
    for name, task in run.recipe.tasks.items():
        yield _collect_task(run, name, task)
    for name, spec in run.recipe.collect.items():
        if spec.questions:
            yield _index(run, name, spec)
            yield _questions(run, name, spec)
        yield _collect_corpus(run, name, spec)


def _collect_task(run: RunFolder, name: str, task: TaskSpec) -> Step:
    def make(folder: Path) -> dict[str, Any]:
        from tmkd.collect.tasks import collect_task

        return collect_task(name, task, folder, run.base)

    files = run.digests((*task.train, *task.dev, *(source for test in task.tests.values() for source in test)))
    settings = task.model_dump(mode="json", exclude={"seeds"})
    return Step(
        f"collect/{name}",
        "collect",
        run.corpus_artifact(name),
        {},
        settings,
        make,
        files,
        estimate=lambda sizes: _pairs_estimate(
            sum(sizes[f"{name}/{split}"] for split in ("train", "dev", *task.tests))
        ),
    )


def _index(run: RunFolder, name: str, spec: CollectSpec) -> Step:
    # The run chooses among several id columns of a table.
    files = run.digests((*spec.documents, *spec.passages, *([spec.run] if spec.run else [])))

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.collect.indexing import collect_index
        from tmkd.progress import progress

        with progress(f"index {name}", "documents") as report:
            return collect_index(name, spec, run.labels(spec.task), folder, run.base, report, run.engine, files)

    return Step(
        f"index/{name}",
        "collect",
        run.index_folder(name),
        {},
        spec.model_dump(mode="json", include=_OF_INDEX),
        make,
        files,
        # Kept files are checked by their own digests: more documents only add to the index.
        keep=("texts-*.arrow", ".words", ".documents"),
        estimate=lambda sizes: _files_estimate(run, (*spec.documents, *spec.passages)),
    )


def _questions(run: RunFolder, name: str, spec: CollectSpec) -> Step:
    def make(folder: Path) -> dict[str, Any]:
        from tmkd.collect.questions import collect_questions

        guard = _guard(run, spec)
        return collect_questions(name, spec, run.labels(spec.task), guard, folder, run.base)

    settings = spec.model_dump(mode="json", include=_OF_QUESTIONS)
    needs = {f"collect/{task}": run.corpus_artifact(task) for task in run.recipe.tasks}
    return Step(
        f"questions/{name}",
        "collect",
        run.questions_folder(name),
        needs,
        settings,
        make,
        run.digests(spec.questions),
        estimate=lambda sizes: _files_estimate(run, spec.questions),
    )


def _collect_corpus(run: RunFolder, name: str, spec: CollectSpec) -> Step:

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.collect.corpora import CorpusPlan, SearchFolders, collect_corpus
        from tmkd.progress import progress

        with progress(f"collect {name}", "questions") as report:
            plan = CorpusPlan(name, spec, run.labels(spec.task), _guard(run, spec), run.base)
            search = SearchFolders(index, questions) if spec.questions else None
            return collect_corpus(plan, search, folder, report, run.engine)

    needs = {f"collect/{task}": run.corpus_artifact(task) for task in run.recipe.tasks}
    index, questions = run.index_folder(name), run.questions_folder(name)
    if spec.questions:
        needs |= {f"index/{name}": index, f"questions/{name}": questions}
    settings = spec.model_dump(mode="json", include=_OF_PAIRS)
    files = run.digests((*spec.pairs, *([spec.run] if spec.run else [])))
    return Step(
        f"collect/{name}",
        "collect",
        run.corpus_artifact(name),
        needs,
        settings,
        make,
        files,
        shards=("shard-*.parquet", ".shards.jsonl"),
        estimate=lambda sizes: _pairs_estimate(sizes[name]),
    )


def _guard(run: RunFolder, spec: CollectSpec) -> Guard:
    """The leakage guard of a stage-1 corpus, over every dev and test set."""
    from tmkd.collect.guard import Guard

    if spec.guard == "off":
        return Guard.of([])
    held: dict[str, list[pa.Table]] = {"qa": [], "nli": []}
    for name, task in run.recipe.tasks.items():
        held[task.kind] += [run.corpus(f"{name}/{split}").table() for split in ("dev", *task.tests)]
    return Guard.of(held["qa"], held["nli"], near=spec.guard == "near")


def _pairs_estimate(pairs: int) -> Estimate:
    return Estimate(pairs, 1 + pairs / _PAIRS_PER_SECOND, pairs * _BYTES_PER_PAIR)


def _files_estimate(run: RunFolder, sources: Sequence[SourceSpec]) -> Estimate:
    size = sum(file.stat().st_size for source in sources for file in _files(run.base / Path(source.file).expanduser()))
    return Estimate(0, 1 + size / _READ_PER_SECOND, size)


def _files(path: Path) -> Iterator[Path]:
    return (one for one in path.rglob("*") if one.is_file()) if path.is_dir() else iter((path,))


def write_pages(run: RunFolder) -> Iterator[Path]:
    """Write `collect-CORPUS.html` into the run folder for every stage-1 corpus, and yield its path.

    Raises: TmkdError when a corpus is not collected or damaged, or matplotlib is missing.
    """
    from tmkd.evaluate.corpus import corpus_stats
    from tmkd.progress import progress
    from tmkd.report.corpus_page import write_corpus_html

    for name, spec in run.recipe.collect.items():
        made = [("The pairs", run.corpus_artifact(name))]
        if spec.questions:
            made = [("The passages", run.index_folder(name)), ("The questions", run.questions_folder(name)), *made]
        counts = [(step, sealed(folder).facts) for step, folder in made]
        with progress(f"statistics of {name}", "pairs") as report:
            stats = corpus_stats(run.corpus(name), spec.seed, report=report)
        path = run.folder / f"collect-{name}.html"
        write_corpus_html(path, run.recipe.name, name, stats, counts)
        yield path
