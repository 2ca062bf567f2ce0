from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.collect.passages import passages, sentences


def cut(text: str) -> list[str]:
    return [" ".join(sentence) for sentence in sentences(text.split())]


def test_short_paragraphs_stay_whole_and_never_join() -> None:
    assert passages("One two. Three.\n\n \nFour\nfive.") == ["One two. Three.", "Four five."]


def test_a_passage_ends_before_one_and_four_tenths_of_the_words() -> None:
    # 10 words aimed at: at most 14 to a passage; sentences of 6, 8, 6 and 20 words.
    first, second, third = ("A b c d e six.", "A b c d e f g eight.", "K b c d e six.")
    long = "L " + "x " * 18 + "twenty."
    assert passages(f"{first} {second} {third} {long}", words=10) == [f"{first} {second}", third, long]


def test_a_paragraph_of_exactly_the_limit_stays_whole() -> None:
    assert passages("A b c d e f go. H i j k l m no.", words=10) == ["A b c d e f go. H i j k l m no."]
    assert passages("A b c d e f go. H i j k l m n on.", words=10) == ["A b c d e f go.", "H i j k l m n on."]


@pytest.mark.parametrize(
    "sentence",
    [
        "Ask Dr. Smith or Mrs. Jones.",
        "Use oil, e.g. olive oil, i.e. The good one.",
        "In the U.S. Senate it passed.",
        "It weighs approx. 3.5 kg in total.",
        "J. R. R. Tolkien wrote it.",
        "See fig. 3 and No. 5 below.",
        "He said Yahoo! was late … and left.",
        "It costs about 5 oz. per cup.",
    ],
)
def test_an_abbreviation_or_number_ends_no_sentence(sentence: str) -> None:
    assert cut(sentence) == [sentence]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It ended in 2010. Then he left.", ["It ended in 2010.", "Then he left."]),
        ('"Is it?" She asked. (It was.) Yes.', ['"Is it?"', "She asked.", "(It was.)", "Yes."]),
        ("So do I. You too!", ["So do I.", "You too!"]),
        ("Cut at 12 in. The board is long.", ["Cut at 12 in.", "The board is long."]),
        ("all of it small. no capitals here.", ["all of it small.", "no capitals here."]),
        ("1. Boil it. 2. Eat it.", ["1. Boil it.", "2. Eat it."]),
        ("Wait... What? 42 is it.", ["Wait...", "What?", "42 is it."]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet=st.sampled_from("aB3.!?\n \t\"'()é。\u2028\x00"), max_size=200), st.integers(1, 9))
def test_no_word_is_lost_or_moved(text: str, words: int) -> None:
    assert " ".join(passages(text, words)).split() == text.split()


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_any_text_can_be_cut(text: str) -> None:
    assert all(passage.strip() for passage in passages(text))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 12), max_size=8), st.integers(1, 10))
def test_only_a_single_sentence_may_be_too_long(lengths: list[int], words: int) -> None:
    text = " ".join("A" + " b" * (length - 1) + " end." for length in lengths)
    for passage in passages(text, words):
        assert len(passage.split()) <= 1.4 * words or passage.count("end.") == 1
