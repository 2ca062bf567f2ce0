from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.collect.near_heldout import NearPassages, NearQuestions, keyword_set

ANSWER = "Air scatters blue light more than red light, so the sky looks blue from everywhere on the ground."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("what is the capital of France?", "What's capital france"),
        ("are cats nocturnal", "is a cat nocturnal"),
        ("price of eggs", "egg price"),
    ],
)
def test_two_wordings_of_a_question_have_one_keyword_set(one: str, other: str) -> None:
    assert keyword_set(one) == keyword_set(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("why is the sky blue", "how is the sky blue"),
        ("what is 20 percent of 50", "what is 20 percent of 60"),
        ("what is c good for", "what is c++ good for"),
        ("the root of -5", "the root of 5"),
        ("कल क्या है", "काल क्या है"),
    ],
)
def test_different_questions_have_different_keyword_sets(one: str, other: str) -> None:
    assert keyword_set(one) != keyword_set(other)


def test_a_question_of_little_words_or_none_keeps_what_it_has() -> None:
    assert keyword_set("is the") == {"is", "the"}
    assert keyword_set("?!") == {"?!"}


def test_four_of_five_words_make_questions_alike() -> None:
    held = NearQuestions(["how tall mount everest feet"])  # five words
    assert "how tall is mount everest" in held  # four of the five
    assert "how tall is mount everest in meters" not in held  # 4 of 7
    assert "how tall mount" not in held  # 3 of 5
    assert "" not in held


@given(
    st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=6),
    st.sets(st.sampled_from("abcdefgh"), min_size=1),
)
def test_looking_up_rare_words_finds_what_comparing_all_would(held: list[set[str]], asked: set[str]) -> None:
    words = {letter: f"word{letter}" for letter in "abcdefgh"}
    texts = [" ".join(words[letter] for letter in sorted(one)) for one in held]
    alike = any(5 * len(one & asked) >= 4 * len(one | asked) for one in held)
    assert (" ".join(words[letter] for letter in asked) in NearQuestions(texts)) == alike


def test_a_passage_cut_at_other_borders_is_found() -> None:
    held = NearPassages([ANSWER])
    assert ANSWER.upper() in held
    assert "Before that. " + ANSWER + " After that, evening comes and the sky turns red for a while." in held
    assert "so the sky looks blue from everywhere on the ground" in held
    assert "Air scatters blue light. Red light is scattered less, and at dusk the sky is red." not in held


def test_a_passage_without_spaces_cut_at_other_borders_is_found() -> None:
    held = NearPassages(["因为空气分子散射的蓝光比红光多得多。"])
    assert "天空是蓝的，因为空气分子散射的蓝光比红光多得多，我们都看见。" in held
    assert "因为牛奶里面有水和脂肪，所以它是白的。" not in held
    assert "为什么天空是蓝色的呢" in NearQuestions(["为什么天空是蓝色的"])


def test_half_of_the_shorter_ones_runs_make_passages_alike() -> None:
    held = NearPassages(["a b c d e f g h i j k l m"])  # ten runs of four
    assert "a b c d e f g h z y x w v u t s" in held  # five of ten
    assert "a b c d e f g z y x w v u t s r" not in held  # four of ten
    assert "?" not in held


def test_a_phrase_alone_makes_no_passages_alike() -> None:
    held = NearPassages(["It was released in 1999.", "a b c d e f g h i j k l m"])
    assert "It was released in 2004." not in held
    assert "a b c d e f" not in held  # all of its three runs
    assert "a b c d e f g" in held  # all of its four


def test_passages_of_a_few_words_are_compared_whole() -> None:
    held = NearPassages(["Tea is hot."])
    assert "tea is hot" in held
    assert "tea is not" not in held
