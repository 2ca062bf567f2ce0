from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tmkd.collect.tasks import collect_task
from tmkd.data.pairs import Corpus
from tmkd.data.words import text_key
from tmkd.errors import TmkdError
from tmkd.recipe.parts import PriorSpec, SourceSpec
from tmkd.recipe.schema import TaskSpec

Row = tuple[str, str, Any]
TRAIN: list[Row] = [("q1", "p1", "yes"), ("q1", "p2", "no"), ("q2", "p3", "yes")]
DEV: list[Row] = [("d1", "e1", "yes"), ("d1", "e2", "no")]
TEST: list[Row] = [("t1", "u1", "yes"), ("t1", "u2", "no")]


def write(path: Path, rows: Sequence[Row]) -> None:
    lines = [
        json.dumps({"question": question, "passage": passage, "label": label}) for question, passage, label in rows
    ]
    path.write_text("\n".join(lines) + "\n")


def collect(folder: Path, parts: Mapping[str, Sequence[Row]], **settings: Any) -> dict[str, Any]:
    for part, rows in parts.items():
        write(folder / f"{part}.jsonl", rows)
    files = {
        "train": "train.jsonl",
        "tests": {"test": "test.jsonl"},
        **({"dev": "dev.jsonl"} if "dev" in parts else {}),
    }
    return collect_task("toy", TaskSpec.model_validate({**files, **settings}), folder / "out", folder)


def pairs(folder: Path, part: str) -> list[tuple[str, str, int | None]]:
    return [(pair.question, pair.passage, pair.label) for pair in Corpus.open(folder / "out" / part).pairs()]


def test_each_part_becomes_a_corpus(tmp_path: Path) -> None:
    facts = collect(tmp_path, {"train": [*TRAIN, TRAIN[0], ("q3", "p4", None)], "dev": DEV, "test": TEST})
    assert pairs(tmp_path, "train") == [("q1", "p1", 1), ("q1", "p2", 0), ("q2", "p3", 1), ("q3", "p4", None)]
    assert pairs(tmp_path, "dev") == [("d1", "e1", 1), ("d1", "e2", 0)]
    assert Corpus.open(tmp_path / "out" / "test").labels.task == "toy"
    assert facts["train"] == {"duplicates": 1, "conflicts": 0, "rows": 4, "unlabelled": 1, "weak": 0}


def test_a_class_that_no_training_row_has_is_an_error(tmp_path: Path) -> None:
    parts = {"train": TRAIN, "dev": DEV, "test": TEST}
    with pytest.raises(TmkdError, match=r"task toy: train has no row of class 'maybe' \(of no, yes, maybe\) in 3 rows"):
        collect(tmp_path, parts, labels=["no", "yes", "maybe"])
    collect(tmp_path, {**parts, "train": [*TRAIN, ("q4", "p4", "maybe")]}, labels=["no", "yes", "maybe"])


def test_grades_of_one_of_two_files_are_kept_in_the_test_set(tmp_path: Path) -> None:
    lines = [{"question": "t2", "passage": "u3", "label": 1, "rel": 3}]
    (tmp_path / "graded.jsonl").write_text(json.dumps(lines[0]) + "\n")
    tests = {"test": ["test.jsonl", {"file": "graded.jsonl", "columns": {"grade": "rel"}}]}
    collect(tmp_path, {"train": TRAIN, "dev": DEV, "test": TEST}, tests=tests)
    assert Corpus.open(tmp_path / "out" / "test").table()["grade"].to_pylist() == [None, None, 3.0]
    assert "grade" not in Corpus.open(tmp_path / "out" / "train").table().column_names


def test_votes_become_labels_and_the_judges_agreement_is_reported(tmp_path: Path) -> None:
    votes = [
        {"question": question, "passage": passage, "judge": judge, "vote": label}
        for question, passage, label in TRAIN
        for judge in "abc"
    ]
    votes += [{"question": "q9", "passage": "p9", "judge": judge, "vote": "yes"} for judge in "ab"]
    (tmp_path / "votes.jsonl").write_text("".join(json.dumps(vote) + "\n" for vote in votes))
    sources = [SourceSpec.model_validate({"file": "votes.jsonl", "votes": {}}), SourceSpec(file="train.jsonl")]
    facts = collect(tmp_path, {"train": [("q3", "p4", "no"), TRAIN[0]], "dev": DEV, "test": TEST}, train=sources)
    assert pairs(tmp_path, "train") == [("q1", "p1", 1), ("q1", "p2", 0), ("q2", "p3", 1), ("q3", "p4", 0)]
    assert facts["train"]["duplicates"] == 1
    judged = facts["train"]["judges votes.jsonl"]
    assert (judged["pairs"], judged["pairs_with_too_few_votes"], judged["kappa"]) == (3, 1, 1.0)


def test_leaks_are_removed_and_counted(tmp_path: Path) -> None:
    leaks = [("T1?", "fine", "yes"), ("fine", "E1.", "no"), ("d1", "u2", "no")]
    facts = collect(tmp_path, {"train": [*TRAIN, *leaks], "dev": DEV, "test": TEST})
    assert len(pairs(tmp_path, "train")) == 3
    near = {"near_questions": 0, "near_passages": 0}
    assert facts["guard"] == {"questions": 2, "passages": 2, "premises": 0, "pairs": 0, **near, "removed": 3}


def test_near_duplicates_of_dev_and_test_are_removed_and_counted(tmp_path: Path) -> None:
    dev = [("how tall is the old lighthouse", "e1", "yes"), ("d1", "e2", "no")]
    test = [("t1", "forty workers built its granite tower in May", "yes"), ("t1", "u2", "no")]
    leaks = [
        ("the old lighthouse, how tall", "fine", "no"),
        ("fine", "forty workers built its granite tower in May again", "no"),
    ]
    facts = collect(tmp_path, {"train": [*TRAIN, *leaks], "dev": dev, "test": test})
    assert len(pairs(tmp_path, "train")) == len(TRAIN)
    assert (facts["guard"]["near_questions"], facts["guard"]["near_passages"], facts["guard"]["removed"]) == (1, 1, 2)
    facts = collect(tmp_path, {"train": [*TRAIN, *leaks], "dev": dev, "test": test}, kind="nli")
    assert len(pairs(tmp_path, "train")) == len(TRAIN) + 2
    assert "near_questions" not in facts["guard"]


def test_near_duplicates_of_a_dev_set_aside_are_removed_too(tmp_path: Path) -> None:
    train = [
        (f"how old is the lighthouse on island {number} {form}", f"p {number} {form} {label}", label)
        for number in range(20)
        for form in ("a", "the")
        for label in ("yes", "no")
    ]
    facts = collect(tmp_path, {"train": train, "test": TEST})
    assert facts["guard_dev_from_train"]["near_questions"] == facts["guard_dev_from_train"]["removed"] > 0


def test_a_test_pair_in_train_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"train\.jsonl: a training pair is in test\.jsonl too: 'T1' / 'U1'"):
        collect(tmp_path, {"train": [*TRAIN, ("T1", "U1", "no")], "dev": DEV, "test": TEST})


def test_a_shared_premise_stays_in_nli(tmp_path: Path) -> None:
    facts = collect(tmp_path, {"train": [*TRAIN, ("t1", "p9", "no")], "dev": DEV, "test": TEST}, kind="nli")
    assert len(pairs(tmp_path, "train")) == 4
    assert facts["guard"]["premises"] == 1


def test_weak_rows_give_way_to_golden_ones_and_to_the_test(tmp_path: Path) -> None:
    weak = [
        ("q1", "p1", 0.1),
        ("q7", "p7", 0.9),
        ("q8", "p8", 0.5),
        ("t1", "u1", 0.9),
        ("q9", "p9", 0.9),
        ("q9", "p9", 0.1),
    ]
    write(tmp_path / "weak.jsonl", weak)
    sources = [SourceSpec(file="train.jsonl"), SourceSpec(file="weak.jsonl", threshold=0.5, source="weak")]
    facts = collect(tmp_path, {"train": TRAIN, "dev": DEV, "test": TEST}, train=sources)
    table = Corpus.open(tmp_path / "out" / "train").table()
    assert pairs(tmp_path, "train")[3:] == [("q7", "p7", 1), ("q8", "p8", 0)]
    assert table["source"].to_pylist()[3:] == ["weak", "weak"]
    assert facts["train"] == {"duplicates": 1, "conflicts": 1, "rows": 5, "unlabelled": 0, "weak": 2}
    assert facts["guard"]["pairs"] == 1


def test_without_dev_a_tenth_of_the_first_texts_is_set_aside(tmp_path: Path) -> None:
    train: list[Row] = [(f"q{number}", f"p{number} {label}", label) for number in range(41) for label in ("yes", "no")]
    train.append(("q7!", "another", None))
    facts = collect(tmp_path, {"train": train, "test": TEST})
    first = {part: {text_key(question) for question, _, _ in pairs(tmp_path, part)} for part in ("train", "dev")}
    assert not first["train"] & first["dev"]
    assert len(first["dev"]) == 5  # a tenth of 41, rounded up
    assert len(pairs(tmp_path, "dev")) == 10
    assert all(label is not None for _, _, label in pairs(tmp_path, "dev"))
    assert facts["dev_from_train"]
    before = pairs(tmp_path, "dev")
    collect(tmp_path, {"train": train, "test": TEST})
    assert pairs(tmp_path, "dev") == before


def test_pairs_set_aside_as_dev_share_no_passage_with_train(tmp_path: Path) -> None:
    train = [
        (f"q{number}", f"p{number}" if label == "yes" else "same", label)
        for number in range(20)
        for label in ("yes", "no")
    ]
    train.append(("q99", "fine", "no"))
    facts = collect(tmp_path, {"train": train, "test": TEST})
    assert facts["guard_dev_from_train"]["passages"] == facts["guard_dev_from_train"]["removed"] > 0
    assert {passage for _, passage, _ in pairs(tmp_path, "train")}.isdisjoint(
        passage for _, passage, _ in pairs(tmp_path, "dev")
    )


@pytest.mark.parametrize(("part", "what"), [("train", "only class 'yes'"), ("dev", "only class 'yes'")])
def test_one_class_only_is_an_error(tmp_path: Path, part: str, what: str) -> None:
    rows = {"train": TRAIN, "dev": DEV, "test": TEST, part: [("x", "y", "yes"), ("x", "z", "yes")]}
    with pytest.raises(TmkdError, match=f"task toy: {part} has {what}"):
        collect(tmp_path, rows)


@pytest.mark.parametrize("part", ["dev", "test"])
def test_a_set_whose_rows_all_contradict_each_other_is_an_error(tmp_path: Path, part: str) -> None:
    rows = {"train": TRAIN, "dev": DEV, "test": TEST, part: [("x", "y", "yes"), ("x", "y", "no")]}
    with pytest.raises(TmkdError, match=f"task toy: {part} has no rows; give it some"):
        collect(tmp_path, rows, conflicts="drop")


def test_a_set_of_no_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="task toy: more has no rows; give it some"):
        collect(tmp_path, {"train": TRAIN, "dev": DEV, "test": TEST}, tests={"test": "test.jsonl", "more": []})
    with pytest.raises(TmkdError, match=r"task toy: train has no labelled rows .* in 0 rows"):
        collect(tmp_path, {"dev": DEV, "test": TEST}, train=[])


PRIOR = [SourceSpec(file="train.jsonl"), SourceSpec(file="weak.jsonl", threshold=PriorSpec(), source="weak")]


def test_weak_labels_have_the_share_of_positive_pairs_that_dev_has(tmp_path: Path) -> None:
    write(tmp_path / "weak.jsonl", [(f"w{number}", f"v{number}", number / 10) for number in range(8)])
    dev: list[Row] = [("d1", "e1", "yes"), ("d1", "e2", "no"), ("d1", "e3", "no"), ("d1", "e4", "no")]
    facts = collect(tmp_path, {"train": TRAIN, "dev": dev, "test": TEST}, train=PRIOR)
    assert [label for _, _, label in pairs(tmp_path, "train")[3:]] == [0, 0, 0, 0, 0, 0, 1, 1]
    assert facts["train"]["threshold weak"] == 0.5


def test_a_prior_needs_two_classes_in_dev(tmp_path: Path) -> None:
    write(tmp_path / "weak.jsonl", [("w1", "v1", 0.5)])
    with pytest.raises(TmkdError, match="task toy: dev has only class 'yes'"):
        collect(tmp_path, {"train": TRAIN, "dev": [("d1", "e1", "yes")], "test": TEST}, train=PRIOR)


def test_a_prior_needs_a_column_of_scores(tmp_path: Path) -> None:
    (tmp_path / "weak.jsonl").write_text('{"question": "w1", "passage": "v1"}\n')
    with pytest.raises(TmkdError, match=r"weak\.jsonl: no label column"):
        collect(tmp_path, {"train": TRAIN, "dev": DEV, "test": TEST}, train=PRIOR)


def test_train_without_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="train has no labelled rows"):
        collect(tmp_path, {"train": [("x", "y", None)], "dev": DEV, "test": TEST})


def test_two_labels_of_a_pair_are_an_error_or_dropped(tmp_path: Path) -> None:
    rows = {"train": [*TRAIN, ("q2", "p3", "no")], "dev": DEV, "test": TEST}
    with pytest.raises(TmkdError, match="two labels"):
        collect(tmp_path, rows)
    assert (
        collect(tmp_path, rows | {"train": [*rows["train"], ("q4", "p5", "yes")]}, conflicts="drop")["train"][
            "conflicts"
        ]
        == 1
    )
