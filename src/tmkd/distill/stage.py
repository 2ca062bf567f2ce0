"""Training stage: start weights + corpus + soft labels → a student (§3.1.1 step 3, §3.1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, require_golden
from tmkd.data.softlabels import SoftLabels
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.network.encoder import fresh_pooler
from tmkd.network.headers import Header
from tmkd.network.student import Student
from tmkd.recipe import parts, schema
from tmkd.store import WORK
from tmkd.train.batches import examples
from tmkd.train.dev import dev_accuracy
from tmkd.train.hardware import Hardware
from tmkd.train.loop import fit
from tmkd.train.trainer import Training


@dataclass(frozen=True)
class StageData:
    """Data of a stage: a corpus, its soft labels (None: no teachers), and the dev set that chooses the epoch."""

    corpus: Corpus
    soft: SoftLabels | None
    dev: Corpus | None


@dataclass(frozen=True)
class StudentStart:
    """Start of a stage: the student of the stage before, or (`before` None) the bottom layers of a pretrained `base`.

    The tokenizer is always the one of `base`.
    """

    student: parts.StudentSpec
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
    stage: schema.StageSpec,
    start: StudentStart,
    data: StageData,
    seed: int,
    hardware: Hardware,
    folder: Path,
    title: str,
) -> dict[str, Any]:
    """Train one stage, save the student as a normal transformers folder, and return the fit's facts.

    A golden header exists when α < 1, a soft one per teacher when α > 0. With golden labels the weights best on dev are
    kept, else the last ones.
    Raises: TmkdError for a pair without golden label when α < 1, or a corpus without any fully scored pair.
    """
    corpus = data.corpus
    training = Training(stage.fit, stage.alpha, seed, hardware)
    table = corpus.table()
    if training.golden:
        require_golden(table)
    soft = data.soft.mean() if data.soft is not None and stage.average else data.soft
    targets = None
    if soft is not None:
        kept = soft.complete
        if not kept.any():
            raise TmkdError(f"{title}: no pair of the corpus is scored by all of {', '.join(soft.teachers)}")
        table, targets = table.filter(kept), soft.logits[kept]
    headers = _headers(corpus.labels.task, training.golden, soft)
    model = start.open(corpus.labels, headers, seed)
    tokenizer = PairTokenizer.load(start.base, start.student.max_length)
    dev = None
    if training.golden and data.dev is not None:
        dev = dev_accuracy(lambda inputs: model(**inputs).logits, data.dev, tokenizer, hardware)
    report = fit(
        model,
        lambda network, inputs: network(**inputs).header_logits,
        examples(table, tokenizer, targets),
        training,
        work=folder / WORK,
        dev=dev,
        title=title,
    )
    model.to("cpu").save(folder, start.base)
    return {
        "headers": [header.name for header in headers],
        "pairs": table.num_rows,
        "left_out": int(len(corpus) - table.num_rows),
        **asdict(report),
        "parameters": int(np.sum([parameter.numel() for parameter in model.parameters()])),
    }


def _headers(task: str, golden: bool, soft: SoftLabels | None) -> list[Header]:
    """The golden header first (when the stage trains it), then one per teacher."""
    gold = [Header(f"{task}/gold", None)] if golden else []
    if soft is None:
        return gold
    return gold + [Header(f"{task}/{name}", digest) for name, digest in zip(soft.teachers, soft.digests, strict=True)]
