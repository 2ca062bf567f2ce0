"""Training stage: start weights + corpus + soft labels → a student (§3.1.1 step 3, §3.1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, require_golden
from tmkd.data.softlabels import SoftLabels
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.network.device import place
from tmkd.network.encoder import fresh_pooler
from tmkd.network.headers import Header
from tmkd.network.student import Student
from tmkd.recipe.parts import StudentSpec
from tmkd.recipe.rows import StageSpec
from tmkd.store import WORK
from tmkd.train.batches import examples
from tmkd.train.dev import dev_accuracy
from tmkd.train.hardware import Hardware
from tmkd.train.loop import FitReport, fit
from tmkd.train.trainer import Training

_TAKE_OUT = "take its teacher out, or for gold set alpha: 1"


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
) -> dict[str, Any]:
    """Train one stage, save the student as a normal transformers folder, and return the fit's facts.

    A golden header exists when α < 1, a soft one per teacher when α > 0. With golden labels the weights best on dev are
    kept, else the last ones; with `keep_start` the student of the stage before, if no epoch is better on dev than it.
    Raises: TmkdError for a pair without golden label when α < 1, or a header that no pair trains.
    """
    corpus = data.corpus
    training = Training(
        stage.fit, stage.alpha, seed, hardware, soft_only=stage.unlabelled == "soft_only", masked=stage.gaps == "mask"
    )
    soft = data.soft.mean() if data.soft is not None and stage.average else data.soft
    headers = _headers(corpus.labels.task, training.golden, soft)
    table = corpus.table()
    if training.golden and stage.unlabelled == "error":
        require_golden(table)
    targets = _targets(table, training.golden, soft)
    kept = _kept(targets, training, stage.unlabelled == "drop")
    pairs = dict(zip((header.name for header in headers), targets[kept].sum(axis=0).tolist(), strict=True))
    if not kept.any():
        labelled = "labelled " if stage.unlabelled == "drop" else ""
        by = "" if soft is None else f" scored by {'any' if training.masked else 'all'} of {', '.join(soft.teachers)}"
        raise TmkdError(f"{title}: the corpus has no {labelled}pair{by}")
    for name, count in pairs.items():
        if not count:
            raise TmkdError(f"{title}: no pair trains the header {name}, which Eq. 6 would average in; {_TAKE_OUT}")
    model = start.open(corpus.labels, headers, seed)
    tokenizer = PairTokenizer.load(start.base, start.student.max_length)
    dev = None
    if training.golden and data.dev is not None:
        dev = dev_accuracy(lambda inputs: model(**inputs).logits, data.dev, tokenizer, hardware)
    report = fit(
        model,
        lambda network, inputs: network(**inputs).header_logits,
        examples(table.filter(kept), tokenizer, None if soft is None else soft.logits[kept]),
        training,
        work=folder / WORK,
        dev=dev,
        title=title,
    )
    facts = asdict(report)
    if stage.keep_start and data.dev is not None:
        model, compared = _better(model, start, report, data.dev, tokenizer, hardware)
        facts |= compared
    model.to("cpu").save(folder, start.base)
    return {
        "headers": [header.name for header in model.headers.named],
        "header_pairs": pairs,
        "pairs": int(kept.sum()),
        "left_out": int((~kept).sum()),
        **facts,
        "parameters": int(np.sum([parameter.numel() for parameter in model.parameters()])),
    }


def _targets(table: pa.Table, golden: bool, soft: SoftLabels | None) -> np.ndarray:
    """Mask of the targets that are there, bool (pairs, headers): golden labels if there is a header, then scores."""
    labelled = table["label"].is_valid().to_numpy()[:, None]
    return np.hstack(([labelled] if golden else []) + ([] if soft is None else [soft.scored]))


def _kept(targets: np.ndarray, training: Training, drop_unlabelled: bool) -> np.ndarray:
    """Mask of the pairs that are trained on, bool (pairs,): those with the targets that the objective asks for."""
    golden, scores = targets[:, : training.golden], targets[:, training.golden :]
    scored = scores.any(axis=1) if training.masked else scores.all(axis=1)
    return np.asarray(scored & golden.all(axis=1) if drop_unlabelled else scored)


def _better(
    model: Student, start: StudentStart, report: FitReport, dev: Corpus, tokenizer: PairTokenizer, hardware: Hardware
) -> tuple[Student, dict[str, Any]]:
    """The student of the stage before, unless the trained one is better on dev or it has another task; and the facts.

    `best_epoch` is 0 where it is kept; `dev_start` is its accuracy.
    """
    earlier = None if start.before is None else Student.from_pretrained(start.before)
    if earlier is None or earlier.labels != model.labels:
        return model, {}
    place(earlier.eval(), hardware.device)
    accuracy = dev_accuracy(lambda inputs: earlier(**inputs).logits, dev, tokenizer, hardware)()
    if report.dev[report.best_epoch - 1] > accuracy:
        return model, {"dev_start": accuracy}
    return earlier, {"dev_start": accuracy, "best_epoch": 0}


def _headers(task: str, golden: bool, soft: SoftLabels | None) -> list[Header]:
    """The golden header first (when the stage trains it), then one per teacher."""
    gold = [Header(f"{task}/gold", None)] if golden else []
    if soft is None:
        return gold
    return gold + [Header(f"{task}/{name}", digest) for name, digest in zip(soft.teachers, soft.digests, strict=True)]
