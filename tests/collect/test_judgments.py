"""Judges' votes: the rule of §4.1, what is left out, and how far judges agree."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from tmkd.collect.judgments import Judge, fleiss_kappa, is_positive, judge_agreement, read_labelled
from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

LABELS = LabelSet("demo", ("no", "yes"), "yes")
Row = tuple[str, str, str]  # pair, judge, vote


def read(
    folder: Path, rows: list[Row], labels: LabelSet = LABELS, **votes: Any
) -> tuple[dict[str, int], dict[str, object]]:
    """The label of each question, and the facts on the votes; a row is question, judge, vote."""
    tiny.write_tsv(
        folder / "votes.tsv",
        ("question", "passage", "judge", "vote"),
        [(question, "p", judge, vote) for question, judge, vote in rows],
    )
    source = SourceSpec.model_validate({"file": "votes.tsv", "votes": votes})
    table, facts = read_labelled(source, folder, labels, label="required")
    return dict(zip(table["question"].to_pylist(), table["label"].to_pylist(), strict=True)), facts["judges votes.tsv"]


def ballot(question: str, votes: str) -> list[Row]:
    """Votes y and n on a question, of judges 0, 1, 2 and on."""
    return [(question, str(judge), "yes" if vote == "y" else "no") for judge, vote in enumerate(votes)]


# -- the rule ----------------------------------------------------------------------------------------------------------


def test_more_than_two_thirds_is_meant_for_every_vote_there_can_be(tmp_path: Path) -> None:
    every = ["".join(votes) for number in range(1, 7) for votes in product("yn", repeat=number)]
    assert len(every) == 126
    found, facts = read(tmp_path, [row for votes in every for row in ballot(votes, votes)], fewest=1)
    assert found == {votes: int(Fraction(votes.count("y"), len(votes)) > Fraction(2, 3)) for votes in every}
    assert facts["ties"] == 2 + 6 + 20  # (2 over 1), (4 over 2), (6 over 3)
    assert not is_positive(0, 0)


def test_three_of_three_are_needed_and_two_of_three_only_when_asked(tmp_path: Path) -> None:
    rows = [row for votes in ("yyy", "yyn", "ynn", "nnn") for row in ballot(votes, votes)]
    assert read(tmp_path, rows)[0] == {"yyy": 1, "yyn": 0, "ynn": 0, "nnn": 0}
    assert read(tmp_path, rows, at_least=2)[0] == {"yyy": 1, "yyn": 1, "ynn": 0, "nnn": 0}


def test_three_of_four_are_more_than_two_thirds_and_four_of_six_are_not() -> None:
    assert is_positive(3, 4)
    assert not is_positive(4, 6)
    assert is_positive(5, 6)


def test_the_positive_class_may_stand_first(tmp_path: Path) -> None:
    turned = LabelSet("demo", ("yes", "no"), "yes")
    assert read(tmp_path, [*ballot("a", "yyy"), *ballot("b", "yyn")], turned)[0] == {"a": 0, "b": 1}


def test_pairs_with_too_few_votes_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [*ballot("a", "yyy"), *ballot("b", "yy"), *ballot("c", "n")]
    found, facts = read(tmp_path, rows)
    assert found == {"a": 1}
    assert (facts["pairs"], facts["pairs_with_too_few_votes"], facts["votes"]) == (1, 2, 6)
    assert read(tmp_path, rows, fewest=2)[0] == {"a": 1, "b": 1}


def test_a_vote_given_twice_counts_once_and_two_different_votes_of_a_judge_not_at_all(tmp_path: Path) -> None:
    rows = [*ballot("a", "yyy"), ("a", "2", "yes"), ("a", "2", "yes"), *ballot("b", "yyyn"), ("b", "3", "yes")]
    found, facts = read(tmp_path, rows)
    assert found == {"a": 1, "b": 1}
    assert (facts["repeated_votes"], facts["contradictions"], facts["votes"]) == (2, 1, 6)
    assert read(tmp_path, [*ballot("a", "yyy"), *ballot("b", "nny"), ("b", "2", "no")])[0] == {"a": 1}


def test_ties_become_negative_and_are_counted(tmp_path: Path) -> None:
    found, facts = read(tmp_path, [*ballot("a", "yynn"), *ballot("b", "yyyn")])
    assert found == {"a": 0, "b": 1}
    assert facts["ties"] == 1


def test_a_pair_keeps_its_source_and_group(tmp_path: Path) -> None:
    rows = [("q", "p", judge, 1, "g7") for judge in "abc"]
    tiny.write_tsv(tmp_path / "v.tsv", ("query", "passage", "worker_id", "answer", "qid"), rows)
    source = SourceSpec(file="v.tsv", votes={}, columns={"vote": "answer"}, source="crowd")  # type: ignore[arg-type]
    table, facts = read_labelled(source, tmp_path, LABELS)
    assert table.select(["label", "source", "group"]).to_pylist() == [{"label": 1, "source": "crowd", "group": "g7"}]
    assert list(facts) == ["judges crowd"]


def test_a_file_without_votes_is_read_as_ever(tmp_path: Path) -> None:
    tiny.write_tsv(tmp_path / "a.tsv", ("question", "passage", "label"), [("q", "p", "yes")])
    table, facts = read_labelled(SourceSpec(file="a.tsv"), tmp_path, LABELS, label="none")
    assert (table["label"].to_pylist(), facts) == ([None], {})


# -- agreement ---------------------------------------------------------------------------------------------------------


def test_kappa_of_the_worked_example_of_fourteen_raters() -> None:
    counts = np.array(
        [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
    )
    # Pairs of raters who agree, of 182 ordered ones an item: 182, 46, 56, 80, 60, 84, 44, 32, 52, 52.
    observed = Fraction(688, 1820)
    # Votes a category, of 140: 20, 28, 39, 21, 32.
    expected = Fraction(20**2 + 28**2 + 39**2 + 21**2 + 32**2, 140**2)
    assert (round(float(observed), 3), round(float(expected), 3)) == (0.378, 0.213)
    kappa = fleiss_kappa(counts)
    assert kappa == pytest.approx(float((observed - expected) / (1 - expected)))
    assert kappa == pytest.approx(0.210, abs=0.0005)


def test_with_differing_numbers_of_votes_each_item_weighs_the_same() -> None:
    # Agreement per item 1, 0, 1/3: mean 4/9. Shares (1, 0), (1/2, 1/2), (2/3, 1/3): mean (13/18, 5/18).
    # Expected (169 + 25)/324 = 97/162; (72/162 - 97/162) / (65/162) = -25/65. The item with one vote does not count.
    assert fleiss_kappa(np.array([[2, 0], [1, 1], [2, 1], [0, 1]])) == pytest.approx(-5 / 13)


def test_kappa_at_its_ends() -> None:
    assert fleiss_kappa(np.array([[3, 0], [0, 2]])) == pytest.approx(1.0)
    assert fleiss_kappa(np.array([[3, 0], [2, 0]])) is None
    assert fleiss_kappa(np.array([[1, 0], [0, 1]])) is None
    assert fleiss_kappa(np.zeros((0, 2), dtype=np.int64)) is None


def test_a_judge_is_compared_with_the_majority_of_the_others() -> None:
    ballots = [
        {"a": 1, "b": 1, "c": 0},  # only c's others, a and b, have a majority: against c
        {"a": 1, "b": 1, "c": 1},
        {"a": 0},  # no others
    ]
    assert judge_agreement(ballots) == [Judge("c", 2, 2, 0.5), Judge("a", 3, 1, 1.0), Judge("b", 2, 1, 1.0)]


def test_who_was_never_compared_comes_last() -> None:
    assert [one.name for one in judge_agreement([{"a": 1}, {"b": 1, "c": 1, "d": 0}])] == ["d", "a", "b", "c"]


def test_the_judges_who_agree_least_are_named(tmp_path: Path) -> None:
    rows: list[Row] = []
    for number in range(12):
        answer = "yes" if number % 2 else "no"
        rows += [(f"q{number}", judge, answer) for judge in ("ann", "bob", "cid", "dan")]
        rows.append((f"q{number}", "eve", "no" if answer == "yes" and number > 4 else answer))
    rows += [("q1", "few", "no")]  # fewer than ten votes
    _, facts = read(tmp_path, rows)
    assert facts["judges"] == 6
    assert facts["votes_per_judge"] == "1 to 12"
    # eve is against the others on q5, q7, q9 and q11
    assert facts["least_agreeing"] == "eve 66.7 % of 12; ann 100.0 % of 12; bob 100.0 % of 12"


# -- wrong input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row", "problem"),
    [
        ("question passage vote", "a p yes", r"no judge column \(judge, worker, .*\); it has question, passage, vote"),
        ("question passage judge", "a p x", r"no vote column; it has question, passage, judge; name it .* \{vote: …\}"),
        ("text judge vote", "a x yes", r"no question column \(.*\); it has text, judge, vote"),
        ("question passage judge vote", "a p x maybe", r"row 1: vote 'maybe' is none of task demo's: no, yes"),
        ("question passage judge vote", "a p x ", r"row 1: no vote \(column vote\); this file needs one in every row"),
        ("question passage judge vote", "a p  yes", r"row 1: empty judge \(column judge\)"),
        ("question passage judge vote", "a p x yes", r"none of its pairs has 3 votes; give more, or set votes: "),
    ],
)  # fmt: skip
def test_a_wrong_file_of_votes_gives_one_line(tmp_path: Path, header: str, row: str, problem: str) -> None:
    tiny.write_tsv(tmp_path / "votes.tsv", header.split(), [row.split(" ")])
    with pytest.raises(TmkdError, match=rf"votes\.tsv: {problem}") as caught:
        read_labelled(SourceSpec(file="votes.tsv", votes={}), tmp_path, LABELS)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_votes_are_on_two_classes(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"votes\.tsv: votes give labels of two classes .* task nli has 3"):
        read(tmp_path, ballot("a", "yyy"), LabelSet("nli", ("yes", "no", "maybe"), "yes"))
