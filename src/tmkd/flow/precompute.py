"""Steps of serving (§1): answers to questions computed offline, and the look-up store made of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmkd.flow.export import exported_task
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.serving import PrecisionSpec, ServeSpec
from tmkd.store import WORK
from tmkd.train.estimate import Estimate, Sizes, scoring_seconds

if TYPE_CHECKING:
    import pyarrow as pa

ASKED = "serve"  # among the sizes of corpora: the number of questions to answer

# Rough costs.
_STORED_PER_SECOND = 5e4
_BYTES_PER_ANSWER, _BYTES_PER_ENTRY = 150, 80


def precompute_steps(run: RunFolder, serve: ServeSpec) -> Iterator[Step]:
    """Steps of the verb precompute, in order."""
    yield _answers(run, serve)
    yield _lookup(run, serve)


def _answers(run: RunFolder, serve: ServeSpec) -> Step:
    name = serve.collect

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.progress import progress
        from tmkd.serve.precompute import Answering, precompute

        answering = Answering(run.bundle_folder, run.index_folder(name), serve.top, serve.keep)
        with progress("precompute", "questions") as report:
            return precompute(answering, _questions(run, serve), folder, report, run.engine)

    needs = {"export/bundle": run.bundle_folder, f"index/{name}": run.index_folder(name)}
    files = {}
    if isinstance(serve.questions, SourceSpec):
        files = run.digests((serve.questions,))
    else:
        needs[f"questions/{name}"] = run.questions_folder(name)

    def estimate(sizes: Sizes) -> Estimate:
        pairs, kept = sizes[ASKED] * serve.top, sizes[ASKED] * min(serve.top, serve.keep)
        return Estimate(pairs, 1 + _scoring_seconds(run, pairs), kept * _BYTES_PER_ANSWER)

    settings = serve.model_dump(mode="json", include={"questions", "top", "keep"})
    title, folder = "precompute/answers", run.answers_folder
    shards = ("answers-*.parquet",)
    return Step(title, "precompute", folder, needs, settings, make, files, shards=shards, estimate=estimate)


def _lookup(run: RunFolder, serve: ServeSpec) -> Step:
    task = exported_task(run, _served_row(run))
    needs = {"precompute/answers": run.answers_folder}
    if isinstance(serve.threshold, PrecisionSpec):
        needs |= {"export/bundle": run.bundle_folder, f"collect/{task}": run.corpus_artifact(task)}

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.progress import progress
        from tmkd.serve.store_answers import store_answers

        asked = serve.threshold
        facts = {"threshold": asked} if isinstance(asked, float) else _threshold_facts(run, task, asked.precision)
        with progress("look-up store", "shards") as report:
            return facts | store_answers(run.answers_folder, facts["threshold"], folder, folder / WORK / "sort", report)

    def estimate(sizes: Sizes) -> Estimate:
        pairs = sizes[f"{task}/dev"] if isinstance(serve.threshold, PrecisionSpec) else 0
        seconds = 1 + sizes[ASKED] / _STORED_PER_SECOND + _scoring_seconds(run, pairs)
        return Estimate(pairs, seconds, sizes[ASKED] * _BYTES_PER_ENTRY)

    settings = serve.model_dump(mode="json", include={"threshold"})
    # Servers have versions open while the next one is made.
    keep = ("current", "version-*", ".version-*")
    return Step(
        "precompute/lookup", "precompute", run.lookup_folder, needs, settings, make, keep=keep, estimate=estimate
    )


def _questions(run: RunFolder, serve: ServeSpec) -> pa.Table:
    """Distinct questions to answer: group, question (string)."""
    from tmkd.collect.questions import read_part
    from tmkd.data.sources import read_source
    from tmkd.serve.question_key import question_key

    if not isinstance(serve.questions, SourceSpec):
        return read_part(run.questions_folder(serve.collect), serve.questions)
    labels = run.labels(run.recipe.collect[serve.collect].task)
    table = read_source(serve.questions, run.base, labels, need=("question",)).select(["group", "question"])
    first: dict[bytes, int] = {}
    for row, question in enumerate(table["question"].to_pylist()):
        if question:
            first.setdefault(question_key(question), row)
    return table.take([*first.values()]) if first else table.slice(0, 0)


def _threshold_facts(run: RunFolder, task: str, precision: float) -> dict[str, Any]:
    """Threshold by a precision on a task's dev set, whose pairs the answers' engine scores."""
    from tmkd.bundle import Ranker
    from tmkd.serve.store_answers import shards_scored_by
    from tmkd.serve.threshold import NEVER, find_threshold

    made = shards_scored_by(run.answers_folder)
    ranker = Ranker(run.bundle_folder, made.precision, engine=made.engine, width=made.width)
    dev, positive = run.corpus(f"{task}/dev"), ranker.bundle.labels.positive_index
    labels = dev.label_array()
    table = dev.table().filter(labels >= 0)
    pairs = list(zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True))
    found = find_threshold(precision, ranker.predict_proba(pairs)[:, positive], labels[labels >= 0] == positive)
    facts: dict[str, Any] = {"threshold": found.score, "dev_precision": found.precision, "dev_recall": found.recall}
    if found.score == NEVER:
        line = f"no score has a precision of {precision:g} on {task}/dev (the highest is {found.precision:.3f})"
        facts["warnings"] = [f"{line}, so every question is stored without an answer; lower serve.threshold"]
    return facts


def _served_row(run: RunFolder) -> str:
    assert run.recipe.export is not None, "a recipe with serve has export"
    return run.recipe.export.row


def _scoring_seconds(run: RunFolder, pairs: int) -> float:
    student = run.recipe.student_of(_served_row(run))
    return scoring_seconds(run.pretrained(student.base).path, student.layers, pairs)
