from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tmkd.collect.near_duplicates import NearDuplicates
from tmkd.errors import TmkdError


def words(number: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [f"word{chance.randrange(100_000)}" for _ in range(number)]


def changed(given: list[str], share: float, seed: int) -> str:
    """The text with one run of words replaced, so that about `share` of all runs of three is the same."""
    # k of n words replaced in a row: n − k runs are shared, n + k are in one or the other.
    number = round(len(given) * (1 - share) / (1 + share))
    return " ".join([*words(number, seed + 10_000), *given[number:]])


def test_the_same_text_is_found_whatever_its_case_and_punctuation() -> None:
    near = NearDuplicates()
    assert not near.seen("The lake lies in the north, by the river.")
    assert near.seen("the lake lies in -- the NORTH by the river")


def test_short_texts_count_by_their_words() -> None:
    near = NearDuplicates()
    assert [near.seen(text) for text in ("Yes", "yes!", "No", "A b", "b a", "a b")] == [
        False,
        True,
        False,
        False,
        False,
        True,
    ]


def test_a_text_without_words_was_never_seen() -> None:
    near = NearDuplicates()
    assert [near.seen(text) for text in ("", "...", "", "\ud800")] == [False] * 4


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.97, 0.99, 1.0), (0.92, 0.9, 1.0), (0.75, 0.0, 0.05), (0.5, 0, 0)]
)
def test_the_threshold_separates_near_from_far(share: float, least: float, most: float) -> None:
    found = 0
    for seed in range(100):
        near = NearDuplicates(0.85)
        given = words(200, seed)
        assert not near.seen(" ".join(given))
        found += near.seen(changed(given, share, seed))
    assert least <= found / 100 <= most


def test_other_texts_are_not_taken_for_duplicates() -> None:
    near = NearDuplicates()
    assert not any(near.seen(" ".join(words(50, seed))) for seed in range(2_000))


def test_a_text_that_was_left_out_is_not_remembered() -> None:
    near = NearDuplicates(0.85)
    given = words(200, 1)
    chain = [" ".join(given[shift : shift + 150]) for shift in range(0, 50, 10)]  # each like the one before
    assert [near.seen(text) for text in chain] == [False, True, False, True, False]


def test_a_long_text_is_read_in_pieces() -> None:
    near = NearDuplicates()
    text = words(30_000, 1)
    assert [near.seen(" ".join(text)), near.seen(" ".join(text[:-99]))] == [False, True]


def test_every_process_decides_alike() -> None:
    code = (
        "from tmkd.collect.near_duplicates import NearDuplicates; near = NearDuplicates();"
        "near.seen('a b c d e f g h');"
        "print(near._signatures.hex(), sorted(near._first))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_without_datasketch_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(TmkdError, match=r"finding near-duplicates needs datasketch: pip install 'tmkd\[collect\]'"):
        NearDuplicates()
