"""Training stage: start weights + corpus + soft labels → a student (§3.1.1 step 3, §3.1.2)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tmkd import ranks
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import TeacherColumn
from tmkd.data.text import PairTokenizer
from tmkd.data.token_store import open_tokens
from tmkd.distill.targets import open_targets, write_targets
from tmkd.network.device import place
from tmkd.network.encoder import fresh_pooler
from tmkd.network.headers import Header
from tmkd.network.student import Student
from tmkd.recipe.fit import Keep
from tmkd.recipe.parts import StudentSpec
from tmkd.recipe.rows import StageSpec
from tmkd.store import WORK
from tmkd.train.dev import dev_score
from tmkd.train.hardware import Hardware
from tmkd.train.loop import FitReport, fit
from tmkd.train.trainer import Training

SCRATCH = ".targets"  # folder of the training pairs' targets while the stage is trained


@dataclass(frozen=True)
class StageData:
    """Data of a stage: a corpus, the folder of its tokens, its teachers' logits, the dev set that chooses the epoch.

    `weak` are the names of the corpus's sources with weak labels.
    """

    corpus: Corpus
    tokens: Path
    columns: tuple[TeacherColumn, ...]
    dev: Corpus | None
    weak: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudentStart:
    """Start of a stage: the student of the stage before, or (`before` None) the bottom layers of a pretrained `base`.

    The tokenizer is always the one of `base`.
    """

    student: StudentSpec
    base: Path
    before: Path | None

    def open(self, labels: LabelSet, headers: Sequence[Header], seed: int) -> Student:
        """Open the student with these headers; one keeps its weights if the stage before had its name and digest."""
        if self.before is not None:
            return Student.from_pretrained(self.before).with_headers(labels, headers, seed)
        spec = self.student
        model = Student.start(self.base, spec.layers, spec.pool, labels, headers, spec.max_length, seed)
        if spec.fresh_pooler is True:
            fresh_pooler(model.encoder, seed)
        return model


def run_stage(
    stage: StageSpec,
    start: StudentStart,
    data: StageData,
    seed: int,
    hardware: Hardware,
    folder: Path,
    title: str,
    steps: int | None = None,
) -> dict[str, Any]:
    """Train one stage, save the student as a normal transformers folder, and return the fit's facts.

    `steps` are optimiser steps, taken instead of the epochs of the stage's fit.

    A golden header exists when α < 1, a soft one per teacher when α > 0. With golden labels the weights best on dev are
    kept, else the last ones; with `keep_start` the student of the stage before, if no epoch is better on dev than it.
    Under torchrun all ranks call this, rank 0 writes, and the facts of the others are empty.
    Raises: TmkdError as `write_targets` and `fit`.
    """
    training = Training(
        stage.fit,
        stage.alpha,
        seed,
        hardware,
        soft_only="soft_only" in (stage.unlabelled, stage.weak),
        masked=stage.gaps == "mask",
        vote=stage.vote,
        steps=steps,
    )
    corpus, scratch = data.corpus, folder / SCRATCH
    tokenizer = PairTokenizer.load(start.base, start.student.max_length)
    store = open_tokens(data.tokens, corpus)
    header_pairs = ranks.from_first(
        lambda: write_targets(stage, corpus, data.columns, store, scratch, title, data.weak)
    )
    targets = open_targets(stage, corpus, data.columns, store, tokenizer.settings.pad_id, scratch, header_pairs)
    model = start.open(corpus.labels, targets.headers, seed)
    dev = None
    if training.golden and data.dev is not None:
        dev = dev_score(lambda inputs: model(**inputs).logits, data.dev, tokenizer, hardware, stage.fit.keep)
    report = fit(
        model,
        lambda network, inputs: network(**inputs).header_logits,
        targets.examples,
        training,
        work=folder / WORK,
        dev=dev,
        title=title,
    )
    if not ranks.is_first():
        return {}
    shutil.rmtree(scratch)
    facts = asdict(report)
    if stage.keep_start and data.dev is not None:
        model, compared = _better(model, start, report, data.dev, tokenizer, hardware, stage.fit.keep)
        facts |= compared
    model.to("cpu").save(folder, start.base)
    return {
        "headers": [header.name for header in model.headers.named],
        "header_pairs": targets.header_pairs,
        "pairs": len(targets.examples),
        "left_out": targets.left_out,
        **facts,
        "parameters": int(np.sum([parameter.numel() for parameter in model.parameters()])),
    }


def _better(
    model: Student,
    start: StudentStart,
    report: FitReport,
    dev: Corpus,
    tokenizer: PairTokenizer,
    hardware: Hardware,
    by: Keep,
) -> tuple[Student, dict[str, Any]]:
    """The student of the stage before, unless the trained one is better on dev or it has another task; and the facts.

    `best_epoch` is 0 where it is kept; `dev_start` is its score.
    """
    earlier = None if start.before is None else Student.from_pretrained(start.before)
    if earlier is None or earlier.labels != model.labels:
        return model, {}
    place(earlier.eval(), hardware.device)
    score = dev_score(lambda inputs: earlier(**inputs).logits, dev, tokenizer, hardware, by)()
    if report.dev[report.best_epoch - 1] > score:
        return model, {"dev_start": score}
    return earlier, {"dev_start": score, "best_epoch": 0}
