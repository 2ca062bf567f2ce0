from __future__ import annotations

import pytest

from tmkd.collect.guard import Guard
from tmkd.data.pairs import pair_table
from tmkd.errors import TmkdError

HELD_OUT = pair_table(["How hot is tea?", "Who sings?"], ["Tea is hot.", "She sings."], [1, 0], "test.tsv")
GUARD = Guard.of([HELD_OUT])

# One row a case: clean, shared question, shared passage, both but of different pairs.
TRAIN = pair_table(
    ["When?", "how HOT is tea", "Which?", "who sings"], ["Now.", "No.", "tea is hot", "Tea is hot!"], None, "train.tsv"
)


def test_answers_that_touch_the_test_are_removed_and_counted() -> None:
    table, counts = GUARD.clean(TRAIN, "qa", golden=True)
    assert table["question"].to_pylist() == ["When?"]
    assert counts == {"questions": 2, "passages": 2, "premises": 0, "pairs": 0, "removed": 3}


def test_a_shared_premise_is_only_counted() -> None:
    table, counts = GUARD.clean(TRAIN, "nli", golden=True)
    assert table.equals(TRAIN)
    assert counts == {"questions": 0, "passages": 0, "premises": 2, "pairs": 0, "removed": 0}


@pytest.mark.parametrize("kind", ["qa", "nli"])
def test_a_shared_pair_is_an_error_in_golden_rows_and_removed_in_others(kind: str) -> None:
    leak = pair_table(["how hot is tea"], ["Tea: is hot"], [0], "train.tsv")
    with pytest.raises(TmkdError, match=r"train\.tsv: a training pair is in test\.tsv too: 'how hot is tea'"):
        GUARD.clean(leak, kind, golden=True)  # type: ignore[arg-type]
    table, counts = GUARD.clean(leak, kind)  # type: ignore[arg-type]
    assert table.num_rows == 0
    assert counts["pairs"] == counts["removed"] == 1


def test_texts_without_a_letter_are_compared_as_they_are() -> None:
    guard = Guard.of([pair_table(["?"], ["..."])])
    assert guard.shares_question("?")
    assert not guard.shares_question("!")
    assert not guard.shares_passage("")


def test_no_test_sets_no_leaks() -> None:
    assert Guard.of([]).clean(TRAIN, "qa")[0].equals(TRAIN)


def test_of_an_nli_task_whole_pairs_are_guarded_against_an_answers_corpus() -> None:
    guard = Guard.of([], nli=[HELD_OUT])
    shared = pair_table(["how hot is tea", "how hot is tea"], ["Tea: is hot", "Warm."], None, "web")
    table, counts = guard.clean(shared, "qa")
    assert table["passage"].to_pylist() == ["Warm."]
    assert counts == {"questions": 0, "passages": 0, "premises": 0, "pairs": 1, "removed": 1}


def test_a_near_guard_also_takes_out_near_duplicates() -> None:
    near = Guard.of([HELD_OUT], near=True)
    rows = pair_table(["is tea hot, how", "When?", "Why?"], ["No.", "Hm: tea is hot.", "Tea is hot"], None, "web")
    table, counts = near.clean(rows, "qa")
    assert table["question"].to_pylist() == ["When?"]  # three words of a longer passage are no run of four
    assert counts == {"questions": 0, "passages": 1, "premises": 0, "pairs": 0} | {
        "near_questions": 1, "near_passages": 0, "removed": 2
    }  # fmt: skip
    assert GUARD.clean(rows, "qa")[1].keys() == near.clean(rows, "nli")[1].keys() == counts.keys() - {
        "near_questions", "near_passages"
    }  # fmt: skip
    assert near.clean(rows, "nli")[1]["removed"] == 0


def test_rows_with_both_texts_near_are_counted_in_both_and_removed_once() -> None:
    held = pair_table(
        ["how tall is the old lighthouse"], ["forty workers built its granite tower in May"], [1], "test.tsv"
    )
    rows = pair_table(
        ["the old lighthouse, how tall"], ["forty workers built its granite tower in May again"], [1], "train"
    )
    _, counts = Guard.of([held], near=True).clean(rows, "qa", golden=True)
    assert (counts["near_questions"], counts["near_passages"], counts["removed"]) == (1, 1, 1)


def test_long_texts_are_cut_in_the_message_of_a_leak() -> None:
    whole, long = "q" * 60, "p" * 61
    guard = Guard.of([pair_table([whole], [long], [1], "test.tsv")])
    with pytest.raises(TmkdError, match=rf"'{whole}' / '{long[:59]}…'"):
        guard.clean(pair_table([whole], [long], [1], "train.tsv"), "qa", golden=True)
