from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.collect.passages import passages, sentences
from tmkd.data.words import count_words


def cut(text: str) -> list[str]:
    return [sentence.rstrip() for sentence in sentences(text)]


def test_short_paragraphs_of_whole_sentences_stay_whole_and_never_join() -> None:
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
        "George H. W. Bush met Messrs. Smith.",
        "It is by A. A. Milne.",
        "The carousel of Charles I. D. Looff is old.",
        "Firth et al. Used as a name, fig. 3 and art. 5.",
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
        (
            "Tom Neal, Jr. His wife died. Is it art? It is art. In this one no. It is.",
            ["Tom Neal, Jr.", "His wife died.", "Is it art?", "It is art.", "In this one no.", "It is."],
        ),
        ("It opened at 5 p.m. The bar was full.", ["It opened at 5 p.m.", "The bar was full."]),
        ("She moved to Washington D.C. In 1999 she left.", ["She moved to Washington D.C.", "In 1999 she left."]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


# -- scripts without spaces, and other full stops ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("天是蓝的。为什么？因为光！", ["天是蓝的。", "为什么？", "因为光！"]),
        ("他说：“天是蓝的。”我也这么想。", ["他说：“天是蓝的。”", "我也这么想。"]),
        ("空は青い。なぜ？「光だ。」と言った。", ["空は青い。", "なぜ？", "「光だ。」", "と言った。"]),
        ("ท้องฟ้าเป็นสีฟ้า เพราะแสงกระเจิง ใน 5 นาที", ["ท้องฟ้าเป็นสีฟ้า", "เพราะแสงกระเจิง", "ใน 5 นาที"]),
        ("आकाश नीला है। क्यों? प्रकाश॥ हाँ", ["आकाश नीला है।", "क्यों?", "प्रकाश॥", "हाँ"]),
        ("السماء زرقاء؟ نعم. یہ ہے۔ ہاں", ["السماء زرقاء؟", "نعم.", "یہ ہے۔", "ہاں"]),
        ("មេឃពណ៌ខៀវ។ ហេតុអ្វី។", ["មេឃពណ៌ខៀវ។", "ហេតុអ្វី។"]),
        ("ကောင်းကင်ပြာ။ ဘာကြောင့်။", ["ကောင်းကင်ပြာ။", "ဘာကြောင့်။"]),
        ("မိုးကောင်းကင်။ပြာ။", ["မိုးကောင်းကင်။", "ပြာ။"]),  # without spaces
        ("आकाश नीला है।क्यों है॥ हाँ", ["आकाश नीला है।", "क्यों है॥", "हाँ"]),
        ("ផ្លែប៉ោម ចេក។ល។ និងទឹក។ខៀវ", ["ផ្លែប៉ោម ចេក។ល។", "និងទឹក។", "ខៀវ"]),  # the first is "etc."
        ("１．５倍になる", ["１．５倍になる"]),
    ],
)
def test_sentences_end_with_the_full_stops_of_their_script(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_passages_without_spaces_have_the_length_aimed_at_and_no_space_between_sentences() -> None:
    sentence = "因为空气分子散射的蓝光比红光多得多。"  # 17 characters: 9 words
    found = passages(sentence * 20, words=46)
    assert "".join(found) == sentence * 20
    assert [len(passage) // len(sentence) for passage in found] == [7, 7, 6]
    thai = passages(" ".join(["ท้องฟ้าเป็นสีฟ้าเพราะแสงกระเจิง"] * 40), words=45)
    assert len(thai) > 2
    assert all(count_words(passage) <= 1.4 * 45 for passage in thai)


def test_a_heading_in_chinese_goes_with_its_paragraph() -> None:
    assert passages("历史\n\n天空是蓝的。") == ["历史 天空是蓝的。"]


# -- headings and lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", ["Early life", "Early life:", "He was, as is told:"])
def test_what_leads_to_a_paragraph_goes_with_it(heading: str) -> None:
    assert passages(f"A first one.\n\n{heading}\n\nBorn in Rome. He left.\n\nThe end.") == [
        "A first one.",
        f"{heading} Born in Rome. He left.",
        "The end.",
    ]


def test_headings_of_headings_go_with_the_paragraph() -> None:
    assert passages("History:\n\nOrigin:\n\nIt is old.") == ["History: Origin: It is old."]


def test_a_heading_stays_with_a_sentence_that_is_too_long_by_itself() -> None:
    long = "It " + "goes " * 20 + "on."
    assert passages(f"Early life\n\n{long} He left.", words=10) == [f"Early life {long}", "He left."]


def test_items_of_a_list_are_put_together_up_to_the_limit() -> None:
    # At most 7 words to a passage: 2 + 1 + 3, then 3 + 3.
    assert passages("Buy these:\n\neggs\n\na large loaf\n\npears and plums\n\nsalt and pepper", words=5) == [
        "Buy these: eggs a large loaf",
        "pears and plums salt and pepper",
    ]


def test_lines_of_a_list_are_cut_apart_whatever_they_begin_with() -> None:
    assert passages("eggs and milk;\nhoney from bees;\nbread.", words=4) == [
        "eggs and milk;",
        "honey from bees; bread.",
    ]
    assert passages("- eggs and milk\n- honey from bees\n- bread", words=5) == [
        "- eggs and milk",
        "- honey from bees - bread",
    ]
    assert passages("(1) eggs and milk\n(2) honey from bees", words=4) == ["(1) eggs and milk", "(2) honey from bees"]


def test_lines_of_wrapped_prose_are_no_list() -> None:
    assert passages("The house at no.\n5 was old and\nvery small then.", words=4) == [
        "The house at no. 5 was old and very small then."
    ]


def test_what_leads_to_nothing_is_kept() -> None:
    assert passages("It is old.\n\nSources:") == ["It is old.", "Sources:"]
    assert passages("Only a title") == ["Only a title"]


# -- overlap -----------------------------------------------------------------------------------------------------------


def test_a_passage_repeats_the_last_sentences_of_the_one_before() -> None:
    text = "One a bee. Two a bee. Three a bee. Four a bee. Five a bee.\n\nSix a bee."
    assert passages(text, words=7, overlap=1) == [
        "One a bee. Two a bee. Three a bee.",
        "Three a bee. Four a bee. Five a bee.",
        "Six a bee.",
    ]


def test_what_does_not_fit_is_not_repeated() -> None:
    text = "One a bee. Two a bee. Three a b c d e fee."
    assert passages(text, words=5, overlap=2) == ["One a bee. Two a bee.", "Three a b c d e fee."]
    assert passages(text, words=8, overlap=9) == ["One a bee. Two a bee.", "Two a bee. Three a b c d e fee."]


# -- what holds for any text -------------------------------------------------------------------------------------------

TEXTS = st.text(alphabet=st.sampled_from("aB3.!?:;-\n\n \t\"'()é؟\u2028\x00"), max_size=200)
UNSPACED = st.text(alphabet=st.sampled_from("aB3.:; \n天空。，！」।กลาว\u0e34"), max_size=200)


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.integers(1, 9))
def test_no_word_is_lost_or_moved(text: str, words: int) -> None:
    assert " ".join(passages(text, words)).split() == text.split()


@settings(deadline=None, max_examples=100)
@given(UNSPACED, st.integers(1, 9))
def test_no_character_is_lost_or_moved_without_spaces(text: str, words: int) -> None:
    assert "".join("".join(passages(text, words)).split()) == "".join(text.split())


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.integers(1, 9))
def test_no_sentence_is_cut(text: str, words: int) -> None:
    found = [passage.split() for passage in passages(text, words)]
    ends = {sum(map(len, found[:number])) for number in range(len(found) + 1)}
    inside, place = set(), 0
    for paragraph in text.replace("\x0b", "\n").split("\n\n"):
        for sentence in sentences(" ".join(paragraph.split())):
            inside |= set(range(place + 1, place + len(sentence.split())))
            place += len(sentence.split())
    breaks = {place for place in ends & inside if not _line_break(text, place)}
    assert breaks == set()


def _line_break(text: str, place: int) -> bool:
    """Whether the word at a place begins a line: there a list may be cut, and a paragraph ends."""
    seen = 0
    for line in text.splitlines():
        if seen == place:
            return True
        seen += len(line.split())
    return seen == place


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


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(1, 9), max_size=20), st.integers(1, 20), st.integers(1, 4))
def test_with_overlap_passages_grow_at_their_beginning_only_and_differ(
    lengths: list[int], words: int, overlap: int
) -> None:
    text = " ".join(f"S{number} " + "b " * length + "end." for number, length in enumerate(lengths))
    found = passages(text, words, overlap)
    assert len(set(found)) == len(found)
    seen: list[str] = []
    for passage in found:
        its = [f"S{one.strip()}" for one in passage.split("S") if one.strip()]
        new = [one for one in its if one not in seen]
        repeated = its[: len(its) - len(new)]
        assert new
        assert len(repeated) <= overlap
        assert its == repeated + new
        assert repeated == seen[len(seen) - len(repeated) :]
        assert len(passage.split()) <= 1.4 * words or len(its) == 1
        seen += new
    assert " ".join(seen) == " ".join(passages(text, words))


def test_cutting_takes_time_in_proportion() -> None:
    text = "item\n\n" * 40_000 + "A b. " * 40_000 + "x " * 100_000
    start = time.process_time()
    assert " ".join(passages(text, overlap=2)).split()
    assert time.process_time() - start < 5
