"""Pairs, label sets, and corpora on disk."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import GRADE, SCHEMA, Corpus, Pair, pair_id, pair_table, question_group, write_corpus
from tmkd.errors import TmkdError

LABELS = LabelSet("demo", ("no", "yes"), "yes")


def table(first: int, last: int) -> pa.Table:
    """Pairs number `first` to `last` - 1; every third is unlabelled."""
    numbers = range(first, last)
    return pair_table(
        [f"question {number}" for number in numbers],
        [f"passage {number}" for number in numbers],
        [None if number % 3 == 2 else number % 2 for number in numbers],
        "made.tsv",
    )


def test_pair_id_is_32_hexadecimal_digits_and_stable() -> None:
    # printf '1:ab' | sha256sum
    assert pair_id("a", "b") == "78901c91d9fe6a7d0ea14356d6ccde1d"


@given(st.text(), st.text(), st.integers(0, 5))
def test_moving_characters_between_the_texts_changes_the_id(first: str, second: str, moved: int) -> None:
    moved = min(moved, len(second))
    other = (first + second[:moved], second[moved:])
    assert (pair_id(first, second) == pair_id(*other)) == (other == (first, second))


def test_pair_id_takes_a_lone_surrogate() -> None:
    assert pair_id("\ud800", "x") != pair_id("?", "x")


def test_questions_that_differ_in_case_and_punctuation_are_one_group() -> None:
    assert question_group("Why is  the sky blue?") == question_group("why is the sky blue")


def test_questions_without_letters_are_not_thrown_together() -> None:
    assert question_group("???") != question_group("!!!")


def test_a_given_group_is_kept_and_a_missing_one_is_the_questions() -> None:
    made = pair_table(["q1", "q2"], ["p", "p"], groups=["7", None])
    assert made["group"].to_pylist() == ["7", question_group("q2")]
    assert made.schema == SCHEMA


def test_a_corpus_gives_back_what_was_written(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, LABELS, [table(0, 3), table(3, 7)], shard_rows=3)
    assert [shard.rows for shard in corpus.shards] == [3, 3, 1]
    assert len(corpus) == 7
    assert Corpus.open(tmp_path) == corpus
    assert corpus.table().equals(table(0, 7))
    assert corpus.shard(2).equals(table(6, 7))
    assert corpus.label_array().tolist() == [0, 1, -1, 1, 0, -1, 0]
    assert [f"{high:016x}{low:016x}" for high, low in corpus.id_array().tolist()] == [
        pair.id for pair in corpus.pairs()
    ]
    pairs = list(corpus.pairs())
    assert pairs[2] == Pair(
        pair_id("question 2", "passage 2"), "question 2", "passage 2", None, "made.tsv", question_group("question 2")
    )


def test_the_same_pairs_give_the_same_bytes_however_they_arrive(tmp_path: Path) -> None:
    whole = write_corpus(tmp_path / "a", LABELS, [table(0, 10)], shard_rows=4)
    pieces = write_corpus(tmp_path / "b", LABELS, [table(0, 1), table(1, 1), table(1, 9), table(9, 10)], shard_rows=4)
    assert whole.shards == pieces.shards
    assert whole.digest == pieces.digest


def test_the_digest_follows_pairs_order_and_labels(tmp_path: Path) -> None:
    digests = {
        write_corpus(tmp_path / "a", LABELS, [table(0, 4)]).digest,
        write_corpus(tmp_path / "b", LABELS, [table(1, 4), table(0, 1)]).digest,
        write_corpus(tmp_path / "c", LabelSet("demo", ("no", "yes"), "no"), [table(0, 4)]).digest,
    }
    assert len(digests) == 3


def test_where_a_passage_was_found_is_kept_and_other_columns_are_not(tmp_path: Path) -> None:
    found = table(0, 2).append_column("rank", pa.array([1, 2])).append_column("mood", pa.array(["good", "bad"]))
    corpus = write_corpus(tmp_path, LABELS, [found, table(2, 3)])
    assert corpus.table().column_names == [*SCHEMA.names, "rank"]
    assert corpus.table()["rank"].to_pylist() == [1, 2, None]


def test_grades_are_kept(tmp_path: Path) -> None:
    graded = table(0, 2).append_column("grade", pa.array([3, 0]))
    kept = write_corpus(tmp_path, LABELS, [graded]).table()
    assert kept.column_names == [*SCHEMA.names, GRADE.name]
    assert kept["grade"].to_pylist() == [3.0, 0.0]


def test_a_shorter_corpus_leaves_nothing_of_the_longer_one_before_it(tmp_path: Path) -> None:
    write_corpus(tmp_path, LABELS, [table(0, 6)], shard_rows=2)
    write_corpus(tmp_path, LABELS, [table(0, 2)], shard_rows=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.json", "shard-00000.parquet"]


def test_an_empty_corpus_has_the_columns_all_the_same(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, LABELS, [])
    assert len(corpus) == 0
    assert corpus.table().schema == SCHEMA
    assert corpus.label_array().tolist() == []
    assert corpus.id_array().shape == (0, 2)


def test_an_unfinished_corpus_is_not_opened(tmp_path: Path) -> None:
    write_corpus(tmp_path, LABELS, [table(0, 2)])
    (tmp_path / "corpus.json").unlink()
    with pytest.raises(TmkdError, match="no finished corpus"):
        Corpus.open(tmp_path)


def test_a_damaged_list_of_shards_is_named(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text('{"shards": [{}]}')
    with pytest.raises(TmkdError, match=r"corpus\.json: damaged"):
        Corpus.open(tmp_path)


def test_a_flipped_byte_in_a_shard_is_found_before_it_is_used(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, LABELS, [table(0, 4)], shard_rows=2)
    path = tmp_path / corpus.shards[1].name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    corpus.shard(0)
    with pytest.raises(TmkdError, match=r"shard-00001\.parquet: its bytes differ"):
        corpus.shard(1)
    with pytest.raises(TmkdError, match=r"shard-00001\.parquet"):
        corpus.label_array()


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, LABELS, [table(0, 2)])
    (tmp_path / corpus.shards[0].name).unlink()
    with pytest.raises(TmkdError, match=r"shard-00000\.parquet: missing"):
        corpus.table()
