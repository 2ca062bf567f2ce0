"""Scoring of many pairs on two Ray nodes of one CPU each, one of which is killed in the middle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tiny
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus
from tmkd.engines.engine import Engine
from tmkd.network.encoder import quiet
from tmkd.teachers.network import load
from tmkd.teachers.score import Opener, score_shards
from tmkd.train.hardware import Hardware

PAIRS, SHARDS = 20_000, 40
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


def rows(count: int = PAIRS) -> list[tuple[str, str, str]]:
    """Distinct pairs of the tiny world's words."""
    words = tiny.TOPICS
    asked = [f"{tiny.question(n % 60)} {words[n // 60 % 60]} {words[n // 3600]}" for n in range(count)]
    return [(question, tiny.passage(n % 60, n % 2 == 0), "yes") for n, question in enumerate(asked)]


def opener_of_a_teacher(folder: Path) -> Opener:
    """Opener of a teacher of random weights, written into a folder."""
    from transformers import BertForSequenceClassification

    encoder = tiny.write_encoder(folder / "encoder")
    labels = {"no": 0, "yes": 1}
    with quiet():
        model = BertForSequenceClassification.from_pretrained(
            encoder, num_labels=2, label2id=labels, id2label={number: name for name, number in labels.items()}
        )
        model.save_pretrained(folder / "teacher")
    tiny.write_tokenizer(folder / "teacher")
    toy = LabelSet("toy", ("no", "yes"), "yes")
    return Opener(partial(load, folder / "teacher", toy, {}, 48, Hardware("cpu", "fp32"), "t"))


def score(
    opener: Opener, corpus: Corpus, folder: Path, engine: Engine, report: Callable[[int, int], None] | None = None
) -> None:
    """Score the whole corpus into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = score_shards(opener, corpus, range(SHARDS), folder, "f" * 64, engine, report or (lambda done, total: None))
    assert facts == {"scored_now": PAIRS, "precision": "fp32"}


class KillInTheMiddle:
    """Progress report that kills a node once a third of the pairs is done; `at` are the pairs done by then."""

    def __init__(self, cluster: Any, node: Any) -> None:
        self._cluster, self._node = cluster, node
        self.at = 0

    def __call__(self, done: int, total: int) -> None:
        if done >= total // 3 and not self.at:
            self.at = done
            self._cluster.remove_node(self._node, allow_graceful=False)
