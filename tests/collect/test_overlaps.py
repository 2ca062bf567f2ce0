"""Overlaps of a new file with training pairs, counted in the file's pairs."""

from __future__ import annotations

import pyarrow as pa

from tmkd.collect.overlaps import Overlap, overlap
from tmkd.data.pairs import pair_table

LONG = "the moon is made of rock and dust because a large body once hit the young earth long ago"


def table(*pairs: tuple[str, str]) -> pa.Table:
    return pair_table([question for question, _ in pairs], [passage for _, passage in pairs])


TRAIN = table(("what is tea", "A drink."), ("what is the moon", LONG), ("why", "because"))


def test_pairs_questions_and_passages_are_counted_in_the_files_pairs() -> None:
    file = table(
        ("What is tea?", "a drink"),  # the same pair, as the guard compares
        ("what is tea", "A plant."),
        ("what is a drink", "A drink."),
        ("how tall is K2", "8,611 metres."),
    )
    assert overlap(file, "toy/train", [TRAIN], near=False) == Overlap("toy/train", 4, 1, 2, 2, None)


def test_a_pair_needs_both_texts_of_one_training_pair() -> None:
    assert overlap(table(("why", "A drink.")), "toy/train", [TRAIN], near=False) == Overlap(
        "toy/train", 1, 0, 1, 1, None
    )


def test_near_duplicates_count_once_and_only_where_no_text_is_shared() -> None:
    file = table(
        ("what is a moon", "It is round."),  # an article is the difference
        ("who lives there", f"Some say {LONG}."),
        ("what was the moon", f"So {LONG}"),
        ("what is tea", f"But {LONG}"),  # its question is there as it stands
        ("how tall is K2", "8,611 metres."),
    )
    found = overlap(file, "toy/train", [TRAIN], near=True)
    assert (found.pairs, found.questions, found.passages, found.near) == (0, 1, 0, 3)


def test_a_corpus_in_several_tables_is_compared_as_one() -> None:
    file = table(("what is tea", "because"))
    parts = [TRAIN.slice(place, 1) for place in range(3)]
    assert overlap(file, "web", parts, near=True) == overlap(file, "web", [TRAIN], near=True)


def test_an_overlap_is_a_sentence() -> None:
    start = "overlap with web: of 4,000 pairs, 1 are there, 20 have a question of it, 3 a passage"
    assert str(Overlap("web", 4000, 1, 20, 3, None)) == start
    assert str(Overlap("web", 4000, 1, 20, 3, 5)) == f"{start}, 5 more have a near-duplicate"
