"""Steps of the yardsticks: BM25 and the plain similarity of each encoder that the recipe starts from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmkd.data.golden import hand_labelled
from tmkd.data.text import STUDENT
from tmkd.flow.evaluate import predict, prediction_step, tested_pairs
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.pretrained.find import model_config
from tmkd.recipe.agreement import BM25
from tmkd.store import digest_json, sealed
from tmkd.train.estimate import Estimate, Sizes, scoring_seconds

if TYPE_CHECKING:
    from tmkd.evaluate.yardsticks import Score, Yardstick


def yardsticks(run: RunFolder, task: str) -> dict[str, str | None]:
    """Rows of a task's yardsticks, each with the pretrained encoder it reads: BM25, which has none, then similarities.

    The student's own start comes first. A task of three or more classes has none, for they give one score, nor has one
    that no model is measured on.
    """
    own = [one.spec for one in run.teachers.values() if one.spec.task == task]
    models = own or any(placed == task for _, placed, _ in run.placed_rows())
    if len(run.recipe.tasks[task].labels) != 2 or not models:
        return {}
    teachers = [one for one in own if one.base is not None]
    students = [run.recipe.student, *map(run.recipe.student_of, run.rows)]
    encoders = dict.fromkeys([*(one.base for one in students), *(str(one.base) for one in teachers)])
    pretrained = [name for name in encoders if not _is_ours(run, name)]
    return {BM25: None, **{f"cosine ({Path(name).name})": name for name in pretrained}}


def _is_ours(run: RunFolder, name: str) -> bool:
    """Whether a base is a body of ours, as a Bi-LSTM's start is, which embeds no single text."""
    return str(model_config(run.pretrained(name).path).get("model_type", "")).startswith(STUDENT)


def yardstick_key(encoder: str | None) -> str:
    """Name of a yardstick's predictions."""
    return f"yardstick-{BM25}" if encoder is None else f"yardstick-{digest_json(encoder)[:16]}"


def yardstick_steps(run: RunFolder) -> Iterator[Step]:
    """Steps that store the yardsticks' probabilities on every test set."""
    for task in run.recipe.tasks:
        for row, encoder in yardsticks(run, task).items():
            needs = {f"collect/{task}": run.corpus_artifact(task)}
            outside: dict[str, str] = {}
            if encoder is None:
                needs |= {f"collect/{corpus}": run.corpus_artifact(corpus) for corpus in _collections(run, task)}
            else:
                outside[f"pretrained {encoder}"] = run.pretrained(encoder).digest
            yield prediction_step(
                run,
                task,
                yardstick_key(encoder),
                needs,
                partial(_make, run, task, row, encoder),
                row,
                partial(_estimate, run, task, encoder),
                outside,
            )


def yardstick_scorer(run: RunFolder, task: str, row: str, encoder: str | None) -> Yardstick:
    """Scorer of a yardstick that was measured: its threshold is in the manifest."""
    from tmkd.evaluate.yardsticks import Yardstick
    from tmkd.metrics.calibration import LogOdds

    facts = sealed(run.predictions_folder(task, yardstick_key(encoder))).facts
    line = LogOdds(facts["slope"], facts["offset"])
    return Yardstick(_score(run, task, row, encoder), line, run.labels(task).positive_index)


def _make(run: RunFolder, task: str, row: str, encoder: str | None, folder: Path) -> dict[str, Any]:
    from tmkd.evaluate.yardsticks import Yardstick

    golden = hand_labelled(run.corpus(f"{task}/train"), run.recipe.tasks[task].train)
    scorer = Yardstick.fitted(_score(run, task, row, encoder), golden, run.labels(task))
    facts = predict(run, task, scorer, folder)
    facts.pop("warnings", None)  # it has learned nothing but its threshold
    return facts | scorer.line._asdict()


def _score(run: RunFolder, task: str, row: str, encoder: str | None) -> Score:
    from tmkd.evaluate.yardsticks import Bm25, Cosine

    if encoder is not None:
        return Cosine.of(row, run.pretrained(encoder).path, run.hardware())
    corpora = [run.corpus(corpus) for corpus in _collections(run, task) or [f"{task}/train"]]
    return Bm25.of(pair.passage for corpus in corpora for pair in corpus.pairs())


def _collections(run: RunFolder, task: str) -> list[str]:
    """The stage-1 corpora whose passages tell how frequent a term is; without any, train does."""
    return [name for name, corpus in run.recipe.collect.items() if corpus.task == task]


def _estimate(run: RunFolder, task: str, encoder: str | None, sizes: Sizes) -> Estimate:
    pairs = tested_pairs(run, task, sizes) + sizes[f"{task}/train"]
    seconds = 1.0 if encoder is None else scoring_seconds(run.pretrained(encoder).path, None, pairs)
    return Estimate(pairs, seconds, 16 * pairs)
