"""Export of pairs and soft labels as training data of sentence-transformers and FlagEmbedding."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import TeacherColumn, read_shard, shard_path
from tmkd.errors import TmkdError

ExportFormat = Literal["sentence-transformers", "flagembedding"]

# Passages of a question: text, golden label (None without one), score.
_Passages = list[tuple[str, int | None, float]]


def hand_over(corpus: Corpus, columns: Sequence[TeacherColumn], out: Path, layout: ExportFormat) -> dict[str, int]:
    """Write a corpus with the mean of these teachers' raw logits to a folder `out`, complete or not at all.

    The score of a pair is the positive class's logit minus the other one's. Pairs without a score of every teacher are
    left out. Returns counts: `pairs` written, `without_score`, and what `_flagembedding` leaves out.
    Raises: TmkdError when `out` has something in it, or the layout cannot represent the corpus; as `read_shard` does.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TmkdError(f"{out}: exists and is not an empty folder; name a new one")
    classes = len(corpus.labels.names)
    if layout == "flagembedding" and classes != 2:
        raise TmkdError(
            f"flagembedding holds one score a pair, and task {corpus.labels.task} has {classes} classes; "
            "take --layout sentence-transformers"
        )
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write: Callable[[Corpus, Sequence[TeacherColumn], Path], dict[str, int]]
    write = _sentence_transformers if layout == "sentence-transformers" else _flagembedding
    try:
        counts = write(corpus, columns, part)
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts


def _scored(corpus: Corpus, columns: Sequence[TeacherColumn]) -> Iterator[tuple[pa.Table, np.ndarray, int]]:
    """Per shard: the pairs scored by all teachers, their mean logits float64 (pairs, classes), the number of others."""
    classes = len(corpus.labels.names)
    for index, shard in enumerate(corpus.shards):
        logits = [
            read_shard(shard_path(one.folder, one.digest, shard.digest), one.digest, shard.digest, shard.rows, classes)
            for one in columns
        ]
        mean = np.stack(logits).mean(axis=0, dtype=np.float64)
        known = np.isfinite(mean).all(axis=1)
        yield corpus.shard(index).filter(pa.array(known)), mean[known], int((~known).sum())


def _sentence_transformers(corpus: Corpus, columns: Sequence[TeacherColumn], folder: Path) -> dict[str, int]:
    """Write train-00000-of-0000N.parquet, …: query, passage, score; with three or more classes label, a list of logits.

    Its trainers take score and label as the target and every other column as an input.
    """
    counts = {"pairs": 0, "without_score": 0}
    for number, (table, logits, missing) in enumerate(_scored(corpus, columns)):
        made = {"query": table["question"], "passage": table["passage"]}
        if logits.shape[1] == 2:
            made["score"] = pa.array(_differences(corpus, logits), pa.float32())
        else:
            made["label"] = pa.array(logits.tolist(), pa.list_(pa.float32()))
        name = f"train-{number:05d}-of-{len(corpus.shards):05d}.parquet"
        pq.write_table(pa.table(made), folder / name, compression="zstd")
        counts["pairs"] += table.num_rows
        counts["without_score"] += missing
    return counts


def _flagembedding(corpus: Corpus, columns: Sequence[TeacherColumn], folder: Path) -> dict[str, int]:
    """Write train.jsonl, a question per line: query, pos, neg, pos_scores, neg_scores.

    `pos` are the passages with a golden positive label; of a question without golden labels, the passage with the best
    score. The trainer fails on a question without `pos` or `neg`; such are counted in `questions_left_out` and
    `pairs_left_out`.
    """
    # A question may occur in several shards: it is kept until the last of them. (Questions with the same hash are kept
    # longer, no more.)
    last = {
        hash(question): index
        for index in range(len(corpus.shards))
        for question in corpus.shard(index)["question"].to_pylist()
    }
    counts = dict.fromkeys(("pairs", "without_score", "questions", "questions_left_out", "pairs_left_out"), 0)
    held: dict[str, _Passages] = {}
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for index, (table, logits, missing) in enumerate(_scored(corpus, columns)):
            texts = (table[name].to_pylist() for name in ("question", "passage", "label"))
            for question, passage, label, score in zip(*texts, _differences(corpus, logits).tolist(), strict=True):
                held.setdefault(question, []).append((passage, label, score))
            counts["without_score"] += missing
            for question in [one for one in held if last[hash(one)] <= index]:
                passages = held.pop(question)
                pos, neg = _sides(passages, corpus.labels.positive_index)
                written = bool(pos and neg)
                counts["questions" if written else "questions_left_out"] += 1
                counts["pairs" if written else "pairs_left_out"] += len(passages)
                if written:
                    sides = {"pos": [text for text, _, _ in pos], "neg": [text for text, _, _ in neg]}
                    scores = {"pos_scores": [one for _, _, one in pos], "neg_scores": [one for _, _, one in neg]}
                    file.write(json.dumps({"query": question, **sides, **scores}, ensure_ascii=False) + "\n")
    return counts


def _sides(passages: _Passages, positive: int) -> tuple[_Passages, _Passages]:
    """Positive passages of a question, and the others."""
    if all(label is None for _, label, _ in passages):
        best = max(range(len(passages)), key=lambda place: passages[place][2])
        return [passages[best]], [*passages[:best], *passages[best + 1 :]]
    right = [one for one in passages if one[1] == positive]
    return right, [one for one in passages if one[1] != positive]


def _differences(corpus: Corpus, logits: np.ndarray) -> np.ndarray:
    """Logit of the positive class minus the other one's, float64 (pairs,)."""
    positive = corpus.labels.positive_index
    difference: np.ndarray = logits[:, positive] - logits[:, 1 - positive]
    return difference
