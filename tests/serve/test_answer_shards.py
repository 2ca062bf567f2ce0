from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import ORIGIN
from tmkd.errors import TmkdError
from tmkd.serve.answer_shards import (
    Answered,
    Asked,
    Scored,
    asked_digest,
    read_scores,
    read_shard,
    shard_origin,
    write_run,
    write_shard,
)
from tmkd.serve.answer_value import Answer

SOME = [
    Answered(Asked("g1", "why"), (Scored("p", "https://a b", 0.5, 3), Scored("q", "u\u2003v", 0.25, 1))),
    Answered(Asked("g 2", "what"), ()),
    Answered(Asked("g3", "when"), (Scored("r", "w", 1.0, 0),)),
]
texts = st.text(st.characters(codec="utf-8"), max_size=5)
scored = st.builds(Scored, texts, texts, st.floats(0, 1, width=32), st.integers(0, 2**32 - 1))


def test_a_row_is_an_answer_and_a_question_without_one_has_a_row_of_nulls(tmp_path: Path) -> None:
    write_shard(tmp_path / "s", ORIGIN.scored_by, SOME)
    rows = pq.read_table(tmp_path / "s").to_pylist()
    assert rows[1] == {
        "group": "g1", "question": "why", "passage": "q", "url": "u\u2003v", "score": 0.25, "rank": 2, "number": 1
    }  # fmt: skip
    assert (len(rows), rows[2]["question"], rows[2]["passage"], rows[2]["rank"]) == (4, "what", None, None)


@given(st.dictionaries(st.builds(Asked, texts, texts), st.lists(scored, max_size=4).map(tuple), min_size=1, max_size=5))
def test_a_shard_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, answers: dict[Asked, tuple[Scored, ...]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "shard.parquet"
    write_shard(path, ORIGIN.scored_by, [Answered(*one) for one in answers.items()])
    assert dict(read_shard(path)) == answers
    numbers = [(asked.question, [Answer(one.number, one.score) for one in its]) for asked, its in answers.items()]
    assert list(read_scores(path)) == numbers


def test_a_shard_knows_its_origin_and_questions(tmp_path: Path) -> None:
    write_shard(tmp_path / "s", ORIGIN.scored_by, SOME)
    origin = shard_origin(tmp_path / "s")
    assert origin == (ORIGIN.scored_by, asked_digest([asked for asked, _ in SOME]))
    assert asked_digest([asked for asked, _ in SOME[::-1]]) != asked_digest([asked for asked, _ in SOME])


def test_what_is_no_shard_has_no_origin(tmp_path: Path) -> None:
    assert shard_origin(tmp_path / "missing") is None
    (tmp_path / "text").write_text("PAR1")
    pq.write_table(pq.read_table(_shard(tmp_path)).replace_schema_metadata(None), tmp_path / "foreign")
    assert [shard_origin(tmp_path / name) for name in ("text", "foreign")] == [None, None]


def test_a_changed_byte_of_a_shard_is_seen(tmp_path: Path) -> None:
    path = _shard(tmp_path)
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(TmkdError, match=r"damaged .*; remove it and run precompute again"):
        list(read_shard(path))


def test_a_run_has_a_line_per_answer_in_fields_without_spaces(tmp_path: Path) -> None:
    write_shard(tmp_path / "answers-00000.parquet", ORIGIN.scored_by, SOME)
    write_run(tmp_path)
    assert (tmp_path / "run.trec").read_text() == (
        "g1 Q0 https://a%20b 1 0.5 tmkd\ng1 Q0 u%E2%80%83v 2 0.25 tmkd\ng3 Q0 w 1 1 tmkd\n"
    )


def _shard(folder: Path) -> Path:
    write_shard(folder / "shard", ORIGIN.scored_by, SOME)
    return folder / "shard"
