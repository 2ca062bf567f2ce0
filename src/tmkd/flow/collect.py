"""The first steps of Figure 1: the tasks' pairs, and for each stage-1 corpus its index, its questions, its pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.recipe.schema import CollectSpec, TaskSpec
from tmkd.store import sealed

# What of a stage-1 corpus's recipe its passages, its questions and its pairs depend on.
_OF_INDEX: Any = {"documents", "passages", "words", "overlap", "shortest", "language", "near"}
_OF_QUESTIONS: Any = {"questions", "limit", "sample", "head", "near", "guard", "seed"}
_OF_PAIRS: Any = {"task", "pairs", "run", "top", "keep", "limit", "guard", "seed"}


def collect_steps(run: RunFolder) -> Iterator[Step]:
    """The steps of the verb collect, in order."""
    for name, task in run.recipe.tasks.items():
        yield _collect_task(run, name, task)
    for name, gather in run.recipe.collect.items():
        if gather.questions:
            yield _index(run, name, gather)
            yield _questions(run, name, gather)
        yield _collect_corpus(run, name, gather)


def _collect_task(run: RunFolder, name: str, task: TaskSpec) -> Step:
    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.collect.tasks import collect_task

        return collect_task(name, task, folder, run.base)

    files = run.digests((*task.train, *task.dev, *(source for test in task.tests.values() for source in test)))
    return Step(f"collect/{name}", "collect", run.corpus_artifact(name), {}, task.model_dump(mode="json"), make, files)


def _index(run: RunFolder, name: str, gather: CollectSpec) -> Step:
    files = run.digests((*gather.documents, *gather.passages))

    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.collect.indexing import collect_index
        from tmkd.machine import cores
        from tmkd.progress import progress

        with progress(f"index {name}", "documents") as report:
            return collect_index(name, gather, run.labels(gather.task), folder, run.base, report, cores(), files)

    settings = gather.model_dump(mode="json", include=_OF_INDEX)
    # What is kept is checked by its own digests: more documents add to the index what they bring.
    keep = ("texts-*.arrow", ".words", ".documents")
    return Step(f"index/{name}", "collect", run.index_folder(name), {}, settings, make, files, keep)


def _questions(run: RunFolder, name: str, gather: CollectSpec) -> Step:
    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.collect.questions import collect_questions

        guard = run.guard(gather.guard)
        return collect_questions(name, gather, run.labels(gather.task), guard, folder, run.base)

    settings = gather.model_dump(mode="json", include=_OF_QUESTIONS)
    needs = {f"collect/{task}": run.corpus_artifact(task) for task in run.recipe.tasks}
    files = run.digests(gather.questions)
    return Step(f"questions/{name}", "collect", run.questions_folder(name), needs, settings, make, files)


def _collect_corpus(run: RunFolder, name: str, gather: CollectSpec) -> Step:
    folders = {"index": run.index_folder(name), "questions": run.questions_folder(name)} if gather.questions else {}

    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.collect.corpora import collect_corpus
        from tmkd.machine import cores
        from tmkd.progress import progress

        with progress(f"collect {name}", "questions") as report:
            return collect_corpus(
                name,
                gather,
                run.labels(gather.task),
                run.guard(gather.guard),
                folder,
                run.base,
                report,
                processes=cores(),
                **folders,
            )

    needs = {f"collect/{task}": run.corpus_artifact(task) for task in run.recipe.tasks}
    needs |= {f"{kind}/{name}": folder for kind, folder in folders.items()}
    settings = gather.model_dump(mode="json", include=_OF_PAIRS)
    files = run.digests((*gather.pairs, *([gather.run] if gather.run else [])))
    keep = ("shard-*.parquet", ".shards.jsonl")
    return Step(f"collect/{name}", "collect", run.corpus_artifact(name), needs, settings, make, files, keep)


def write_pages(run: RunFolder) -> Iterator[Path]:
    """Write `collect-CORPUS.html` into the run folder for every stage-1 corpus, and tell each path when it is done.

    Raises: TmkdError when a corpus is not collected or damaged, or matplotlib is missing.
    """
    from tmkd.evaluate.corpus import look
    from tmkd.progress import progress
    from tmkd.report.corpus_page import write_corpus_html

    for name, gather in run.recipe.collect.items():
        made = [("The pairs", run.corpus_artifact(name))]
        if gather.questions:
            made = [("The passages", run.index_folder(name)), ("The questions", run.questions_folder(name)), *made]
        counts = [(step, sealed(folder).facts) for step, folder in made]
        with progress(f"look at {name}", "pairs") as report:
            seen = look(run.corpus(name), gather.seed, report=report)
        path = run.folder / f"collect-{name}.html"
        write_corpus_html(path, run.recipe.name, name, seen, counts)
        yield path
