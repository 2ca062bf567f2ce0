"""Pairs with soft labels as data sets for sentence-transformers and FlagEmbedding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_corpus
from tmkd.data.softlabels import SoftLabels, TeacherColumn, shard_path, write_shard
from tmkd.errors import TmkdError
from tmkd.export.datasets import hand_over
from tmkd.recipe import schema
from tmkd.teachers.imported import match_scores, store_scores

LABELS = LabelSet("toy", ("no", "yes"), "yes")
ROWS = [("q", "a", None), ("q", "b", None), ("r", "c", "yes"), ("q", "d", None), ("r", "e", "no"), ("r", "f", None)]
# Difference yes - no: 1, 3, -1, 2, 0.5, 4
FIRST: list[list[float]] = [[0, 1], [0, 3], [0, -1], [-1, 1], [0.25, 0.75], [0, 4]]


def stored(folder: Path, corpus: Corpus, name: str, logits: list[list[float]]) -> TeacherColumn:
    """A teacher's logits of every pair; NaN where it has none."""
    (folder / name).mkdir()
    values, start, digest = np.array(logits, dtype=np.float32), 0, name * 64
    for shard in corpus.shards:
        rows = values[start : start + shard.rows]
        path = shard_path(folder / name, digest, shard.digest)
        write_shard(path, rows, digest, shard.digest, missing=int(np.isnan(rows).all(axis=1).sum()))
        start += shard.rows
    return TeacherColumn(name, digest, folder / name)


def lines(folder: Path) -> list[dict[str, Any]]:
    assert [path.name for path in folder.iterdir()] == ["train.jsonl"]
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


# -- sentence-transformers ---------------------------------------------------------------------------------------------


def test_a_score_is_the_mean_difference_of_the_logits(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    pairs = corpus(ROWS, shard_rows=4)
    second: list[list[float]] = [[0, 3], [0, 0], [0, 0], [0, 0], [1, 0], [0, 1]]
    columns = [stored(tmp_path, pairs, "a", FIRST), stored(tmp_path, pairs, "b", second)]
    counts = hand_over(pairs, columns, tmp_path / "out", "sentence-transformers")
    assert counts == {"pairs": 6, "without_score": 0}
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["query", "passage", "score"]
    assert table["query"].to_pylist() == ["q", "q", "r", "q", "r", "r"]
    assert table["passage"].to_pylist() == list("abcdef")
    assert table["score"].to_pylist() == [2, 1.5, -0.5, 1, -0.25, 2.5]


def test_the_positive_class_may_be_the_first(tmp_path: Path) -> None:
    pairs = write_corpus(tmp_path / "pairs", LabelSet("toy", ("yes", "no"), "yes"), [pair_table(["q"], ["p"])])
    hand_over(pairs, [stored(tmp_path, pairs, "a", [[3, 1]])], tmp_path / "out", "sentence-transformers")
    assert pq.read_table(tmp_path / "out")["score"].to_pylist() == [2]


def test_more_classes_are_a_list_of_logits(tmp_path: Path) -> None:
    labels = LabelSet("nli", ("e", "n", "c"), "e")
    pairs = write_corpus(tmp_path / "pairs", labels, [pair_table(["q"], ["p"])])
    columns = [stored(tmp_path, pairs, "a", [[3, 1, 0]]), stored(tmp_path, pairs, "b", [[0, 0, 1]])]
    hand_over(pairs, columns, tmp_path / "out", "sentence-transformers")
    assert pq.read_table(tmp_path / "out").to_pylist() == [{"query": "q", "passage": "p", "label": [1.5, 0.5, 0.5]}]
    with pytest.raises(TmkdError, match="flagembedding holds one score a pair, and task nli has 3 classes"):
        hand_over(pairs, columns, tmp_path / "lists", "flagembedding")
    assert not (tmp_path / "lists").exists()


def test_a_pair_that_one_teacher_has_not_scored_is_left_out(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    pairs = corpus(ROWS, shard_rows=4)
    gaps = [[0.0, 1.0] if number % 2 else [np.nan, np.nan] for number in range(6)]
    columns = [stored(tmp_path, pairs, "a", FIRST), stored(tmp_path, pairs, "b", gaps)]
    assert hand_over(pairs, columns, tmp_path / "out", "sentence-transformers") == {"pairs": 3, "without_score": 3}
    assert pq.read_table(tmp_path / "out")["passage"].to_pylist() == ["b", "d", "f"]


# -- FlagEmbedding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shard_rows", [1, 4, 100])
def test_a_question_is_one_line_over_all_shards(tmp_path: Path, corpus: Callable[..., Corpus], shard_rows: int) -> None:
    pairs = corpus(ROWS, shard_rows=shard_rows)
    counts = hand_over(pairs, [stored(tmp_path, pairs, "a", FIRST)], tmp_path / "out", "flagembedding")
    # q has no golden label: its best-scored passage stands for the right one.
    assert lines(tmp_path / "out") == [
        {"query": "q", "pos": ["b"], "neg": ["a", "d"], "pos_scores": [3], "neg_scores": [1, 2]},
        {"query": "r", "pos": ["c"], "neg": ["e", "f"], "pos_scores": [-1], "neg_scores": [0.5, 4]},
    ]
    assert counts == {"pairs": 6, "without_score": 0, "questions": 2, "questions_left_out": 0, "pairs_left_out": 0}


def test_questions_its_trainer_would_fail_on_are_left_out(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    rows = [("only right", "a", "yes"), ("only wrong", "b", "no"), ("only wrong", "c", None), ("alone", "d", None)]
    pairs = corpus([*rows, ("fine", "e", "no"), ("fine", "f", "yes")])
    counts = hand_over(pairs, [stored(tmp_path, pairs, "a", FIRST)], tmp_path / "out", "flagembedding")
    assert [line["query"] for line in lines(tmp_path / "out")] == ["fine"]
    assert counts == {"pairs": 2, "without_score": 0, "questions": 1, "questions_left_out": 3, "pairs_left_out": 4}


def test_scores_are_the_same_after_handover_and_import(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    pairs = corpus(ROWS, shard_rows=4)
    scores = np.array([[0, number] for number in (0.1, 1 / 3, -7.25, 1e-7, 3.3e5, -2.0)], dtype=np.float32)
    hand_over(pairs, [stored(tmp_path, pairs, "a", scores.tolist())], tmp_path / "out", "flagembedding")
    file = {"file": "out/train.jsonl", "layout": "flagembedding"}
    teacher = schema.TeacherSpec.model_validate({"task": "toy", "file": file, "imported": "score"})
    for folder in ("teacher", "soft"):
        (tmp_path / folder).mkdir()
    assert teacher.file is not None
    assert store_scores(teacher.file, teacher, LABELS, tmp_path / "teacher", tmp_path) == {"scores": 6, "duplicates": 0}
    digest = "f" * 64
    assert match_scores("back", tmp_path / "teacher", pairs, tmp_path / "soft", digest, "error") == 0
    back = SoftLabels.load(pairs, [TeacherColumn("back", digest, tmp_path / "soft")]).logits[:, 0]
    np.testing.assert_array_equal(back, scores)


# -- the folder --------------------------------------------------------------------------------------------------------


def test_nothing_is_written_over_and_an_empty_folder_is_taken(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    pairs = corpus(ROWS)
    columns = [stored(tmp_path, pairs, "a", FIRST)]
    (tmp_path / "out").mkdir()
    hand_over(pairs, columns, tmp_path / "out", "flagembedding")
    (tmp_path / "file").touch()
    for name in ("out", "file"):
        with pytest.raises(TmkdError, match=f"{name}: exists and is not an empty folder; name a new one"):
            hand_over(pairs, columns, tmp_path / name, "sentence-transformers")
    assert len(lines(tmp_path / "out")) == 2


@pytest.mark.parametrize("layout", ["sentence-transformers", "flagembedding"])
def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, corpus: Callable[..., Corpus], layout: Any) -> None:
    pairs = corpus(ROWS, shard_rows=4)
    column = stored(tmp_path, pairs, "a", FIRST)
    shard_path(column.folder, column.digest, pairs.shards[1].digest).write_bytes(b"torn")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(TmkdError, match="not a readable soft-label file"):
        hand_over(pairs, [column], tmp_path / "out", layout)
    assert sorted(tmp_path.iterdir()) == before
