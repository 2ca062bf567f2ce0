from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tmkd.collect.guard import Guard
from tmkd.collect.questions import QUESTIONS, collect_questions, read_part, read_questions, require_question
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import pair_table
from tmkd.errors import TmkdError
from tmkd.recipe.schema import CollectSpec

LABELS = LabelSet("toy", ("no", "yes"), "yes")


def collect(folder: Path, log: str, guard: Guard | None = None, **settings: Any) -> tuple[list[str], dict[str, Any]]:
    """The questions to search for, in order, and the counts."""
    (folder / "log.tsv").write_text(log)
    spec = CollectSpec.model_validate({"task": "toy", "questions": "log.tsv", "passages": "p.tsv", **settings})
    facts = collect_questions("web", spec, LABELS, guard or Guard.of([]), folder, folder)
    return read_questions(folder)["question"].to_pylist(), facts


def column(folder: Path, name: str) -> dict[str, Any]:
    table = pq.read_table(folder / QUESTIONS)
    return dict(zip(table["question"].to_pylist(), table[name].to_pylist(), strict=True))


def test_questions_keep_the_files_order_and_their_ids(tmp_path: Path) -> None:
    questions, facts = collect(tmp_path, "qid\tquestion\n7\twhy b\n8\twhy a\n9\twhy c\n")
    assert questions == ["why b", "why a", "why c"]
    assert read_questions(tmp_path)["group"].to_pylist() == ["7", "8", "9"]
    assert facts["questions"] == facts["questions_drawn"] == 3


def test_equal_questions_are_one_and_their_counts_add_up(tmp_path: Path) -> None:
    questions, facts = collect(tmp_path, "question\tcount\nWhy a?\t2\nwhy b\t1\nwhy A\t5\n")
    assert questions == ["Why a?", "why b"]
    assert facts["question_duplicates"] == 1
    assert column(tmp_path, "count") == {"Why a?": 7.0, "why b": 1.0}


def test_questions_that_differ_in_marks_or_signs_are_all_kept(tmp_path: Path) -> None:
    questions = ["what is c", "what is c++", "what is c#", "root of 5", "root of -5", "कल क्या है", "काल क्या है"]
    found, facts = collect(tmp_path, "\n".join(["question", *questions, "What is C++?", "root of \u22125"]) + "\n")
    assert found == questions
    assert facts["question_duplicates"] == 2
    assert facts["questions_drawn"] == 7


def test_another_wording_is_kept_in_the_file_and_not_searched_for(tmp_path: Path) -> None:
    log = "question\nprice of eggs\nthe egg price\nhow to boil eggs\n"
    questions, facts = collect(tmp_path, log)
    assert questions == ["price of eggs", "how to boil eggs"]
    assert facts["near_duplicate_questions"] == 1
    assert column(tmp_path, "place") == {"price of eggs": 0, "the egg price": None, "how to boil eggs": 1}
    assert collect(tmp_path, log, near=False)[0] == ["price of eggs", "the egg price", "how to boil eggs"]


def test_the_questions_of_dev_and_test_are_not_searched_for(tmp_path: Path) -> None:
    guard = Guard.of([pair_table(["Why a", "how to boil an egg"], ["x", "y"])], near=True)
    questions, facts = collect(tmp_path, "question\nwhy, A?\nhow to boil eggs\nwhy b\n", guard)
    assert questions == ["why b"]
    assert (facts["leaked_questions"], facts["near_leaked_questions"]) == (1, 1)


def test_head_is_the_most_frequent_questions_of_the_share_of_traffic(tmp_path: Path) -> None:
    log = "question\tcount\nrare\t1\nmost\t60\nmore\t20\nsome\t19\n"
    _, facts = collect(tmp_path, log, head=0.7)
    # 60 of 100 before `more`, which is needed to reach 70; 80 before `some`
    assert column(tmp_path, "part") == {"rare": "tail", "most": "head", "more": "head", "some": "tail"}
    assert (facts["head_questions"], facts["tail_questions"]) == (2, 2)
    assert set(column(tmp_path, "part")) == {"rare", "most", "more", "some"}


def test_the_head_is_read_whatever_is_searched_for(tmp_path: Path) -> None:
    log = "question\tcount\nrare\t1\nmost\t50\nmore\t30\nMOST?\t2\n"
    collect(tmp_path, log, Guard.of([pair_table(["most"], ["p"])]), head=0.7, sample=1)
    assert read_part(tmp_path, "head")["question"].to_pylist() == ["most", "more"]
    assert dict(zip(*read_part(tmp_path, "all").select(["question", "group"]).to_pydict().values(), strict=True)) == (
        column(tmp_path, "group")
    )
    collect(tmp_path, log)
    assert read_part(tmp_path, "head") == read_part(tmp_path, "all")


def test_without_head_no_question_has_a_part(tmp_path: Path) -> None:
    collect(tmp_path, "question\nwhy\nhow\n")
    assert set(column(tmp_path, "part").values()) == {None}


def test_a_sample_is_drawn_by_frequency(tmp_path: Path) -> None:
    log = "question\tcount\n" + "".join(f"often{n}\t9\nseldom{n}\t1\n" for n in range(300))
    questions, facts = collect(tmp_path, log, sample=100, near=False)
    assert len(questions) == facts["questions_drawn"] == 100
    kinds = Counter(question.rstrip("0123456789") for question in questions)
    # Without replacement the expected share is a little under nine tenths; three deviations are about nine questions.
    assert 78 <= kinds["often"] <= 97
    assert collect(tmp_path, log, sample=100, near=False)[0] == questions
    assert collect(tmp_path, log, sample=100, near=False, seed=2)[0] != questions
    assert collect(tmp_path, log, sample=50, near=False)[0] == questions[:50]


def test_a_question_never_asked_is_drawn_last(tmp_path: Path) -> None:
    questions, _ = collect(tmp_path, "question\tcount\nnever\t0\nwhy\t1\nhow\t1\n", sample=3)
    assert questions[-1] == "never"


def test_under_a_limit_the_order_is_drawn_and_keeps_when_questions_are_added(tmp_path: Path) -> None:
    few = [f"q{n}" for n in range(20)]
    first, _ = collect(tmp_path, "question\n" + "\n".join(few), limit=9)
    assert first != few
    more, _ = collect(tmp_path, "question\n" + "\n".join([*few, "q20", "q21"]), limit=9)
    assert [question for question in more if question in few] == first


def test_no_question_left_is_an_error(tmp_path: Path) -> None:
    guard = Guard.of([pair_table(["why"], ["x"])])
    with pytest.raises(TmkdError, match=r"collect web: no question is left: 1 questions, .*1 leaked_questions"):
        collect(tmp_path, "question\nwhy\n", guard)


def test_one_question_that_the_guard_leaves_is_enough_and_ends_the_check() -> None:
    guard = Guard.of([pair_table(["why a", "how to boil an egg"], ["x", "y"])], near=True)
    asked = iter(["", "Why a?", "How to boil eggs?", "why is the sea salty", "why c"])
    require_question("web", asked, guard)
    assert next(asked) == "why c"
    with pytest.raises(TmkdError, match="collect web: no question is left: all are empty, or repeat one of a dev or"):
        require_question("web", ["", "Why a?", "How to boil eggs?"], guard)


@pytest.mark.parametrize("count", ["-1", "inf", "x"])
def test_a_count_that_is_none_is_named(tmp_path: Path, count: str) -> None:
    with pytest.raises(TmkdError, match=r"log\.tsv: row 2: .*count"):
        collect(tmp_path, f"question\tcount\nwhy\t1\nhow\t{count}\n")


def test_an_empty_question_of_a_log_is_counted_and_passed_over(tmp_path: Path) -> None:
    questions, facts = collect(tmp_path, "question\tcount\nwhy\t1\n \t4\nhow\t2\n")
    assert questions == ["why", "how"]
    assert (facts["questions_empty"], facts["question_duplicates"]) == (1, 0)
