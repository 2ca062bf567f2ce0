from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tmkd.collect.shards import LEDGER, Chunk, Ledger, Question, Rules, ShardResult, searcher, truncate_shard
from tmkd.data.pairs import pair_id
from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Passage
from tmkd.store import digest_file

PASSAGES = [Passage("u1", "", "Red apples."), Passage("u2", "", "Green apples and pears."), Passage("u3", "", "Plums.")]
CHUNK = Chunk(3, "k", [Question(text, "log", "") for text in ("apples", "zzz", "pears", "plums")])


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    TantivyIndex.build(tmp_path / "index", PASSAGES)
    return Rules(tmp_path / "index", 10, None, 1, frozenset(), frozenset(), {})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def passages(out: Path) -> list[str]:
    return list(pq.read_table(out / CHUNK.name)["passage"].to_pylist())


def test_a_shard_counts_the_pairs_of_each_question(rules: Rules, out: Path) -> None:
    made = searcher(rules, out)(CHUNK)
    assert made.pairs == [2, 0, 1, 1]
    assert made.shard is not None
    assert (made.shard.name, made.shard.rows) == ("shard-00003.parquet", 4)
    assert made.shard.digest == digest_file(out / "shard-00003.parquet")
    assert passages(out) == ["Red apples.", "Green apples and pears.", "Green apples and pears.", "Plums."]
    assert pq.read_table(out / CHUNK.name)["source"].unique().to_pylist() == ["log"]


def test_leaked_given_and_held_out_pairs_are_left_out(rules: Rules, out: Path) -> None:
    strict = replace(
        rules,
        leaked=frozenset(["Plums."]),
        given=frozenset([pair_id("pears", "Green apples and pears.")]),
        held={"apples": frozenset(["redapples"])},
    )
    assert searcher(strict, out)(CHUNK).pairs == [1, 0, 0, 0]
    assert passages(out) == ["Green apples and pears."]


def test_a_chunk_without_pairs_has_no_shard(rules: Rules, out: Path) -> None:
    made = searcher(rules, out)(Chunk(0, "k", [Question("zzz", "log", "")]))
    assert (made.shard, made.pairs) == (None, [0])
    assert list(out.iterdir()) == []


def test_a_shard_that_is_there_is_not_made_again(rules: Rules, out: Path) -> None:
    there = ShardResult(None, [0], 0)
    assert searcher(rules, out)(CHUNK._replace(result=there)) is there


@pytest.mark.parametrize(("room", "questions", "rows"), [(4, 4, 4), (3, 3, 3), (2, 2, 2), (1, 0, 0)])
def test_a_cut_keeps_whole_questions(rules: Rules, out: Path, room: int, questions: int, rows: int) -> None:
    made = searcher(rules, out)(CHUNK)
    fitting = truncate_shard(made, CHUNK, out, room)
    assert fitting.pairs == made.pairs[:questions]
    assert (0 if fitting.shard is None else fitting.shard.rows) == rows
    if fitting.shard is not None:
        assert len(passages(out)) == rows
        assert fitting.shard.digest == digest_file(out / CHUNK.name)


def test_a_ledger_finds_intact_shards_and_forgets_a_torn_line(rules: Rules, out: Path) -> None:
    made, empty = searcher(rules, out)(CHUNK), ShardResult(None, [0, 0], 2)
    ledger = Ledger(out)
    ledger.add(CHUNK, made)
    ledger.add(Chunk(4, "e", []), empty)
    with (out / LEDGER).open("a") as file:
        file.write('\n{"key": "torn", "sha')
    again = Ledger(out)
    assert again.find(CHUNK) == made
    assert again.find(Chunk(4, "e", [])) == empty
    assert again.find(CHUNK._replace(key="torn")) is None
    assert again.find(CHUNK._replace(number=5)) is None  # the file has another name now
    (out / CHUNK.name).write_bytes(b"harmed")
    assert again.find(CHUNK) is None


def test_a_torn_line_does_not_swallow_the_next(rules: Rules, out: Path) -> None:
    (out / LEDGER).write_text('{"key": "torn", "sha')
    Ledger(out).add(Chunk(4, "e", []), ShardResult(None, [0], 0))
    assert Ledger(out).find(Chunk(4, "e", [])) == ShardResult(None, [0], 0)
