from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stores import ORIGIN
from tmkd.errors import TmkdError
from tmkd.serve.answer_shards import Answered, Asked, Scored, write_shard
from tmkd.serve.answer_value import Answer
from tmkd.serve.lookup import LmdbAnswers
from tmkd.serve.store_answers import shards_scored_by, store_answers
from tmkd.serve.store_origin import ScoredBy

SCORED_BY = ORIGIN.scored_by


def write(folder: Path, number: int, scores: dict[str, Sequence[float]], scored_by: ScoredBy = SCORED_BY) -> None:
    folder.mkdir(exist_ok=True)
    answered = [
        Answered(Asked(question, question), tuple(Scored("p", "u", score, row) for row, score in enumerate(its)))
        for question, its in scores.items()
    ]
    write_shard(folder / f"answers-{number:05d}.parquet", scored_by, answered)


def store(answers: Path, folder: Path, threshold: float) -> dict[str, int]:
    return store_answers(answers, threshold, folder, folder / ".work" / "sort", lambda done, total: None)


def test_answers_above_the_threshold_are_stored(tmp_path: Path) -> None:
    write(tmp_path / "a", 0, {"why": [0.75, 0.5, 0.25], "what": [0.25], "when": []})
    write(tmp_path / "a", 1, {"who": [1.0]})
    assert store(tmp_path / "a", tmp_path / "s", 0.5) == {"stored_questions": 4, "answered_questions": 2}
    answers = LmdbAnswers(tmp_path / "s")
    assert [answers.get(question) for question in ("why?", "what", "when", "who", "where")] == [
        (Answer(0, 0.75), Answer(1, 0.5)), (), (), (Answer(0, 1.0),), None
    ]  # fmt: skip
    assert (answers.origin.scored_by, answers.origin.threshold) == (SCORED_BY, 0.5)
    answers.close()
    assert not (tmp_path / "s" / ".work" / "sort").exists()


def test_shards_of_different_origin_are_not_stored_together(tmp_path: Path) -> None:
    write(tmp_path, 0, {"why": [0.5]})
    assert shards_scored_by(tmp_path) == SCORED_BY
    write(tmp_path, 1, {"who": [0.5]}, replace(SCORED_BY, width=1))
    with pytest.raises(TmkdError, match="of several bundles, engines or settings"):
        store(tmp_path, tmp_path / "s", 0.5)


def test_shards_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no answers that can be read"):
        shards_scored_by(tmp_path)
    write(tmp_path, 0, {"why": [0.5]})
    (tmp_path / "answers-00001.parquet").write_bytes(b"")
    with pytest.raises(TmkdError, match=r"answers-00001\.parquet: no answers that can be read"):
        shards_scored_by(tmp_path)
