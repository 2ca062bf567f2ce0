from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import tiny
from tmkd.bundle import Ranker
from tmkd.engines.local import LocalEngine
from tmkd.errors import TmkdError
from tmkd.search.candidates import candidates
from tmkd.search.index import TantivyIndex
from tmkd.serve import precompute as module
from tmkd.serve.answer_shards import Answered, Asked, read_shard, shard_origin, write_shard
from tmkd.serve.precompute import Answering, precompute

QUESTIONS = [tiny.question(topic) for topic in range(20)]


def table(questions: list[str]) -> pa.Table:
    return pa.table({"group": [f"g {question}" for question in questions], "question": questions})


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUESTIONS", 8)


def made(answering: Answering, questions: list[str], folder: Path) -> dict[str, Any]:
    """The facts of a precomputation."""
    return precompute(answering, table(questions), folder, lambda done, total: None, LocalEngine(1))


def answered(folder: Path) -> list[Answered]:
    return [one for path in sorted(folder.glob("answers-*.parquet")) for one in read_shard(path)]


def alike(one: Path, other: Path) -> bool:
    """Whether two folders have the same answers; the last bits of a score depend on the pairs beside it."""
    first, second = answered(one), answered(other)
    scores = [[answer.score for its in found for answer in its.answers] for found in (first, second)]
    without = [
        [(its.asked, [answer._replace(score=0.0) for answer in its.answers]) for its in found]
        for found in (first, second)
    ]
    return without[0] == without[1] and scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_the_best_candidates_by_the_bundle_are_kept(answering: Answering, tmp_path: Path) -> None:
    facts = made(answering, [*QUESTIONS, "nothing of this"], tmp_path)
    index, ranker = TantivyIndex(answering.index), Ranker(answering.bundle)
    found = answered(tmp_path)
    assert [one.asked for one in found] == [Asked(f"g {one}", one) for one in (*QUESTIONS, "nothing of this")]
    pairs = 0
    for one in found[:-1]:
        its = candidates(index, one.asked.question, 4)
        pairs += len(its)
        best = ranker.rank(one.asked.question, [hit.passage for hit in its], top_k=3)
        assert [its[int(row["corpus_id"])].number for row in best] == [answer.number for answer in one.answers]
        assert [row["score"] for row in best] == pytest.approx([answer.score for answer in one.answers], abs=1e-6)
        assert all(index.texts[answer.number].passage == answer.passage for answer in one.answers)
    assert found[-1].answers == ()
    engine = answering.scored_by(ranker).engine_words
    assert facts == {"questions": 21, "scored_questions": 21, "scored_pairs": pairs, "engine": engine}
    assert len((tmp_path / "run.trec").read_text().splitlines()) == sum(len(one.answers) for one in found)


def test_several_processes_find_the_same(answering: Answering, tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        precompute(answering, table(QUESTIONS), tmp_path / name, lambda done, total: None, LocalEngine(processes))
    assert alike(tmp_path / "one", tmp_path / "two")


def test_only_new_questions_are_scored(answering: Answering, tmp_path: Path) -> None:
    made(answering, QUESTIONS[:11], tmp_path)
    facts = made(answering, QUESTIONS[:18], tmp_path)
    assert facts["scored_questions"] == 7
    assert made(answering, QUESTIONS[:18], tmp_path)["scored_questions"] == 0
    (tmp_path / "anew").mkdir()
    made(answering, QUESTIONS[:18], tmp_path / "anew")
    assert alike(tmp_path, tmp_path / "anew")


def test_fewer_or_moved_questions_leave_no_old_shard(answering: Answering, tmp_path: Path) -> None:
    made(answering, QUESTIONS, tmp_path)
    facts = made(answering, QUESTIONS[7::-1], tmp_path)
    assert facts["scored_questions"] == 0
    assert [one.asked.question for one in answered(tmp_path)] == QUESTIONS[7::-1]
    assert {path.name for path in tmp_path.iterdir()} == {"answers-00000.parquet", "run.trec"}


@pytest.mark.parametrize("change", [{"bundle": "a" * 64}, {"index": "a" * 64}, {"top": 9}, {"keep": 1}])
def test_what_was_scored_otherwise_is_scored_anew(answering: Answering, tmp_path: Path, change: dict[str, Any]) -> None:
    made(answering, QUESTIONS, tmp_path)
    _as_scored_by(tmp_path / "answers-00001.parquet", change)
    assert made(answering, QUESTIONS, tmp_path)["scored_questions"] == 8


@pytest.mark.parametrize("what", ["engine", "precision", "width"])
def test_engines_and_widths_are_not_mixed(answering: Answering, tmp_path: Path, what: str) -> None:
    made(answering, QUESTIONS, tmp_path)
    own = answering.scored_by(Ranker(answering.bundle))
    others: dict[str, set[Any]] = {"engine": {"kernel", "onnxruntime"}, "precision": {"int8", "fp32"}, "width": {1, 2}}
    change = {what: min(others[what] - {getattr(own, what)})}
    _as_scored_by(tmp_path / "answers-00001.parquet", change)
    with pytest.raises(TmkdError, match=r"answers-00001.parquet was scored by .*, this machine takes .*; go on"):
        made(answering, QUESTIONS, tmp_path)


def test_without_a_question_there_is_nothing_to_do(answering: Answering, tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no question to answer"):
        made(answering, [], tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow as pa
from tmkd.engines.local import LocalEngine
from tmkd.serve import precompute as module
bundle, index, folder, *questions = sys.argv[1:]
module.QUESTIONS, put = 8, os.replace
def replace(source, target):
    if os.path.basename(target) == "answers-00001.parquet":
        os.kill(os.getpid(), signal.SIGKILL)
    put(source, target)
os.replace = replace
table = pa.table({"group": [f"g {one}" for one in questions], "question": questions})
answering = module.Answering(Path(bundle), Path(index), 4, 3)
module.precompute(answering, table, Path(folder), lambda done, total: None, LocalEngine(1))
"""


def test_a_killed_precomputation_goes_on(answering: Answering, tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, answering.bundle, answering.index, tmp_path, *QUESTIONS]
    killed = subprocess.run([*map(str, words)], env=tiny.environment(), capture_output=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    assert "answers-00001.parquet" not in {path.name for path in tmp_path.iterdir()}
    written = len(answered(tmp_path))  # of the shards beside the one whose writing was cut off
    facts = made(answering, QUESTIONS, tmp_path)
    assert facts["scored_questions"] == len(QUESTIONS) - written
    (tmp_path / "anew").mkdir()
    made(answering, QUESTIONS, tmp_path / "anew")
    assert alike(tmp_path, tmp_path / "anew")
    assert not list(tmp_path.glob(".*.part"))


def test_a_full_disk_is_told_and_what_is_done_stays(
    answering: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(path: Path, *rest: Any) -> None:
        if path.name == "answers-00002.parquet":
            raise TmkdError(f"{path}: cannot be written: No space left on device")
        write_shard(path, *rest)

    monkeypatch.setattr(module, "write_shard", full)
    with pytest.raises(TmkdError, match="No space left on device"):
        made(answering, QUESTIONS, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(module, "QUESTIONS", 8)
    assert made(answering, QUESTIONS, tmp_path)["scored_questions"] == 4


def _as_scored_by(path: Path, change: dict[str, Any]) -> None:
    """The same shard, with another origin."""
    origin = shard_origin(path)
    assert origin is not None
    write_shard(path, replace(origin.scored_by, **change), list(read_shard(path)))
