"""What is known of the real data beside the project must come out of the guard."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tmkd.collect.guard import Guard
from tmkd.collect.tasks import collect_task
from tmkd.data.pairs import pair_table
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.schema import TaskSpec

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data (../shared/data) is not beside this checkout"),
]


def read(name: str) -> pa.Table:
    table = pq.read_table(DATA / f"{name}.parquet")
    return pair_table(table["question"].to_pylist(), table["passage"].to_pylist(), None, name)


def test_webqa_train_touches_its_dev_and_test() -> None:
    test, dev = Guard.of([read("webqa/test")]), Guard.of([read("webqa/dev")])
    train, scored = read("webqa/train"), read("webqa/teacher_scored")
    counts = {
        (name, part): tuple(guard.clean(table, "qa")[1][what] for what in ("questions", "passages", "pairs"))
        for name, table in (("train", train), ("scored", scored))
        for part, guard in (("test", test), ("dev", dev))
    }
    assert counts == {
        ("train", "test"): (0, 7, 0),
        ("train", "dev"): (0, 35, 0),
        ("scored", "test"): (16, 33, 0),
        ("scored", "dev"): (1, 13, 1),
    }


def test_unlabelled_texts_hold_test_questions_and_passages() -> None:
    questions = pq.read_table(DATA / "unlabelled" / "questions.parquet")["question"].to_pylist()
    passages = pq.read_table(DATA / "unlabelled" / "passages.parquet")["passage"].to_pylist()
    found = {}
    for name in ("webqa", "wikiqa"):
        guard = Guard.of([read(f"{name}/test")])
        found[name] = (sum(map(guard.shares_question, questions)), sum(map(guard.shares_passage, passages)))
    # WebQA: 42 test rows have such a passage; two of them share one.
    assert found == {"webqa": (32, 41), "wikiqa": (4, 5)}


def test_webqa_becomes_a_task(tmp_path: Path) -> None:
    task = TaskSpec(
        train=(SourceSpec(file="webqa/train.parquet"), SourceSpec(file="webqa/teacher_scored.parquet", threshold=0.5)),
        dev=(SourceSpec(file="webqa/dev.parquet"),),
        tests={"test": (SourceSpec(file="webqa/test.parquet"),)},
    )
    facts = collect_task("webqa", task, tmp_path, DATA)
    assert facts["guard"] == {
        "questions": 17,
        "passages": 88,  # 7 + 35 + 33 + 13
        "premises": 0,
        "pairs": 1,
        "near_questions": 23,  # 8 of test, 15 of dev
        "near_passages": 57,  # 36 of test, 21 of dev
        "removed": 183,
    }
    assert facts["train"]["rows"] == 2_981 + 12_393 - 183
    assert (facts["dev"]["rows"], facts["test"]["rows"]) == (510, 2_400)


def test_rte_shares_first_texts_that_stay(tmp_path: Path) -> None:
    task = TaskSpec(
        train=(SourceSpec(file="rte/train.parquet"),),
        tests={"official": (SourceSpec(file="rte/dev.parquet"),)},
        labels=("entailment", "not_entailment"),
        positive="entailment",
        kind="nli",
    )
    facts = collect_task("rte", task, tmp_path, DATA)
    assert facts["guard"]["premises"] == 31  # rows of 25 first texts
    assert facts["guard"]["removed"] == 0
    assert facts["train"]["duplicates"] == 2
