"""What is said of test sets whose source a model of some rows was trained on."""

from __future__ import annotations

from dataclasses import replace

from tmkd.evaluate.results import Result, lines
from tmkd.evaluate.seen import seen_lines

TEACHER = Result("T1", "teacher", "qnli", "test", 0.80, 0.85, None, None, None, 333_580_000, 1_340_000_000, 16, 1, 60)
STUDENT = replace(TEACHER, row="TMKD", kind="student")


def test_a_model_is_named_with_its_sets_and_rows_once_a_task() -> None:
    seen = [replace(one, split=split, seen=("bert",)) for one in (TEACHER, STUDENT) for split in ("dl19", "dl20")]
    seen += [replace(STUDENT, seed=2, split="dl19", seen=("bert", "words")), TEACHER]
    other = replace(STUDENT, task="rte", seen=("bert",))
    assert list(seen_lines([*seen, other])) == [
        "qnli: bert was trained on the source of dl19, dl20; it takes part in T1, TMKD",
        "qnli: words was trained on the source of dl19; it takes part in TMKD",
        "rte: bert was trained on the source of test; it takes part in TMKD",
    ]


def test_nothing_is_said_of_sets_that_nobody_has_seen() -> None:
    assert list(seen_lines([TEACHER, STUDENT])) == []


def test_a_line_is_marked_by_the_set_of_its_accuracy_alone() -> None:
    ranked = replace(STUDENT, split="dl20", mrr=0.5, seen=("bert",))
    assert [one.seen for one in lines([STUDENT, ranked])] == [False]
    assert [one.seen for one in lines([replace(STUDENT, seen=("bert",)), replace(STUDENT, seed=2)])] == [True]
