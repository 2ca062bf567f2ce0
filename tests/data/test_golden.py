"""Hand-labelled pairs beside weak ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tmkd.data.golden import hand_labelled, is_weak, weak_names
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_corpus
from tmkd.recipe.parts import SourceSpec

LABELS = LabelSet("toy", ("no", "yes"), "yes")
HAND, WEAK = SourceSpec(file="in/train.tsv"), SourceSpec(file="clicks.tsv", threshold=0.5)


def _train(folder: Path, *sources: tuple[str, list[int | None]]) -> Corpus:
    tables = [
        pair_table([f"{source} {n}" for n in range(len(labels))], ["text"] * len(labels), labels, source)
        for source, labels in sources
    ]
    return write_corpus(folder, LABELS, [pa.concat_tables(tables)])


def test_weak_and_unlabelled_pairs_are_left_out(tmp_path: Path) -> None:
    train = _train(tmp_path, ("train.tsv", [1, 0, None]), ("clicks.tsv", [1, 1]))
    assert hand_labelled(train, (HAND, WEAK))["question"].to_pylist() == ["train.tsv 0", "train.tsv 1"]


def test_weak_labels_are_taken_where_there_are_no_others(tmp_path: Path) -> None:
    train = _train(tmp_path, ("train.tsv", [None]), ("clicks.tsv", [1, 0]))
    assert hand_labelled(train, (HAND, WEAK)).num_rows == 2


def test_a_pair_is_weak_by_the_name_of_its_source(tmp_path: Path) -> None:
    train = _train(tmp_path, ("train.tsv", [1]), ("clicks.tsv", [1, None]), ("llm", [0]))
    names = weak_names((HAND, WEAK, SourceSpec(file="scores.tsv", threshold=0.5, source="llm")))
    assert names == ("clicks.tsv", "llm")
    assert is_weak(train.table(), names).tolist() == [False, True, True, True]
    assert is_weak(train.table(), ()).tolist() == [False] * 4
