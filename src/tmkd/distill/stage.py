"""One stage: start weights + corpus + soft labels + the loop → a student (§3.1.1 step 3, §3.1.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tmkd.data.pairs import Corpus, require_golden
from tmkd.data.softlabels import SoftLabels
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.metrics.quality import accuracy
from tmkd.network.encoder import fresh_pooler
from tmkd.network.headers import Header
from tmkd.network.scoring import batched_logits
from tmkd.network.student import Student
from tmkd.recipe import parts, schema
from tmkd.train.batches import examples
from tmkd.train.loop import fit


def run_stage(
    stage: schema.StageSpec,
    student: parts.StudentSpec,
    start: Path | None,
    base: Path,
    corpus: Corpus,
    soft: SoftLabels | None,
    dev: Corpus | None,
    seed: int,
    folder: Path,
    work: Path,
    device: str,
    precision: str,
    title: str,
) -> dict[str, Any]:
    """Train one stage and save the student as a normal transformers folder; returns what the run found.

    `start` is the stage before (None: the bottom layers of `base`). A golden header exists when α < 1, a soft one per
    teacher when α > 0. With golden labels the weights best on `dev` are kept, else the last ones.
    Raises: TmkdError for a pair without golden label when α < 1, or a corpus without any fully scored pair.
    """
    golden = stage.alpha < 1
    if golden:
        require_golden(corpus)
    if soft is not None and stage.average:
        soft = soft.mean()
    table = corpus.table()
    targets = None
    if soft is not None:
        kept = soft.complete
        if not kept.any():
            raise TmkdError(f"{title}: no pair of the corpus is scored by all of {', '.join(soft.teachers)}")
        table, targets = table.filter(kept), soft.logits[kept]
    headers = _headers(corpus.labels.task, golden, soft)
    if start is None:
        model = Student.start(base, student.layers, student.pool, corpus.labels, headers, student.max_length, seed)
        if student.fresh_pooler:
            fresh_pooler(model.encoder, seed)
    else:
        model = Student.from_pretrained(start).with_headers(corpus.labels, headers, seed)
    tokenizer = PairTokenizer.load(base, student.max_length)
    pad_id = tokenizer.settings.pad_id
    model.to(device)

    dev_accuracy = None
    if golden and dev is not None:
        dev_table, dev_labels = dev.table(), dev.label_array()
        dev_tokens = tokenizer.encode(dev_table["question"].to_pylist(), dev_table["passage"].to_pylist())

        def dev_accuracy() -> float:
            logits = batched_logits(lambda inputs: model(**inputs).logits, dev_tokens, pad_id, device, precision)
            return accuracy(logits, dev_labels)

    report = fit(
        model,
        lambda network, inputs: network(**inputs).header_logits,
        examples(table, tokenizer, targets),
        golden=golden,
        alpha=stage.alpha,
        settings=stage.fit,
        seed=seed,
        device=device,
        precision=precision,
        pad_id=pad_id,
        work=work,
        dev=dev_accuracy,
        title=title,
    )
    model.to("cpu").save(folder, base)
    return {
        "headers": [header.name for header in headers],
        "pairs": table.num_rows,
        "left_out": int(len(corpus) - table.num_rows),
        "dev": report.dev,
        "best_epoch": report.best_epoch,
        "steps": report.steps,
        "seconds": report.seconds,
        "precision": precision,
        "parameters": int(np.sum([parameter.numel() for parameter in model.parameters()])),
    }


def _headers(task: str, golden: bool, soft: SoftLabels | None) -> list[Header]:
    """The golden header first (when the stage trains it), then one per teacher."""
    gold = [Header(f"{task}/gold", None)] if golden else []
    if soft is None:
        return gold
    return gold + [Header(f"{task}/{name}", digest) for name, digest in zip(soft.teachers, soft.digests, strict=True)]
