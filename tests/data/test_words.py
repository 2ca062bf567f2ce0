from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.data import words as module
from tmkd.data.words import count_words, normalised, search_terms, visible, words


def test_normalised_ignores_case_spaces_and_harmless_punctuation() -> None:
    assert normalised("What's the U.S. GDP — in 2024?") == "whatstheusgdpin2024"
    assert normalised("Größe, 東京!") == "größe東京"
    assert normalised("e-mail; covid-19 (“COVID‑19”)…") == "emailcovid19covid19"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("café", unicodedata.normalize("NFD", "CAFÉ")),
        ("कि", unicodedata.normalize("NFD", "कि")),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("ｶﾞｷﾞ ＡＢＣ １２", "ガギ abc 12"),
        ("the ﬁrst", "the first"),
        ("İstanbul", "istanbul"),
        ("elec\u00adtro\u200bmag\u2060net\ufeff", "electromagnet"),
        ("می\u200cروم", "می روم"),
        ("iPhone® 5", "iPhone 5"),
        ("is −5 cold", "is -5 cold"),
        ("1,000,000 people", "1000000 people"),
        ("5 – 3", "5-3"),
        ("i ❤️ it", "i ❤ it"),
        ("what’s new?", "Whats new"),
        ("the 1990's", "the 1990s"),
        ("In 2010, 5 people.", "in 2010 5 people"),
    ],
)
def test_two_spellings_of_a_text_are_one(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_a_point_between_digits_is_a_space() -> None:
    assert normalised("about 5.5 times") == normalised("about 5 5 times") == normalised("about 5,5 times")
    assert normalised(".5") != normalised("5")


@pytest.mark.parametrize(
    "texts",
    [
        ("what is c", "what is c+", "what is c++", "what is c#"),
        ("f", "f#", "f+"),
        ("1.5", "15", "1:5", "1/5", "1-5"),
        ("is -5 even", "is 5 even"),
        (".5", "5", "-.5"),
        ("what is && in c", "what is || in c", "what is & in c", "what is // in c", "what is in c"),
        ("[]", "{}"),
        ("R&D", "RD"),
        ("@home", "home"),
        ("1e-5", "1e5"),
        ("5 + 3", "5 - 3", "5 * 3", "5 / 3", "5 ^ 3", "5 3"),
        ("5%", "5", "$5", "€5", "5 °", "5‰"),
        ("a > b", "a < b", "a = b", "a != b", "a ≤ b", "a b"),
        ("blood type o", "blood type o-", "blood type o+"),
        ("the a algorithm", "the a* algorithm"),
        (".net", "net"),
        ("कल", "काल", "किल"),
        ("दिन", "दान"),
        ("ปลา", "ปล้า", "ปล่า"),
        ("résumé", "resume"),
        ("x²", "x2", "x₂"),
        ("what does 😀 mean", "what does 😂 mean"),
        ("Maße", "Masse"),
    ],
)
def test_marks_and_signs_distinguish_texts(texts: tuple[str, ...]) -> None:
    assert len(set(map(normalised, texts))) == len(texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's new in C++ and C#?", ["what", "s", "new", "in", "c++", "and", "c#"]),
        ("-5 to 1.5, or 5% of $1,000", ["-5", "to", "1.5", "or", "5%", "of", "$1000"]),
        ("5 - 3 is not 5 + 3 - never", ["5", "-", "3", "is", "not", "5", "+", "3", "never"]),
        ("कल क्या है", ["कल", "क्या", "है"]),
        ("iPhone手机怎么用", ["iphone", "手机", "机怎", "怎么", "么用"]),
        ("茶 ปู", ["茶", "ปู"]),
        ("ปลาดี", ["ปล", "ลา", "าดี"]),
        ("서울의 인구", ["서울의", "인구"]),
        ("?! …", []),
    ],
)
def test_words_keep_marks_and_their_signs(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_korean_nouns_are_found_before_their_particles() -> None:
    assert search_terms("서울특별시는") == ["서울특별시는", "서울", "울특", "특별", "별시", "시는"]
    assert search_terms(unicodedata.normalize("NFD", "서울")) == ["서울"]
    assert set(search_terms("서울의 인구")) & set(search_terms("서울은 인구가 많다")) == {"서울", "인구"}


def test_search_terms_are_words_with_and_without_signs() -> None:
    assert search_terms("C++ since 1.5") == ["c", "c++", "since", "1", "5", "1.5"]
    assert search_terms("蓝天") == ["蓝", "天", "蓝天"]
    assert search_terms("ปูดี") == ["ปู", "ดี", "ปูดี"]
    assert search_terms("ปลา") == ["ปล", "ลา"]


@settings(deadline=None)
@given(st.text(alphabet="ab 12.,:'-$+#%/_!?*\n(", max_size=30))
def test_texts_without_signs_take_a_short_way_to_the_same_words(text: str) -> None:
    short = words(text), search_terms(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SIGNED", re.compile(""))
        assert (words(text), search_terms(text)) == short


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_unicode_has_words_without_spaces(text: str) -> None:
    assert all(word.split() == [word] for word in (*words(text), *search_terms(text)))
    assert count_words(text) >= 0


@settings(deadline=None)
@given(
    st.text(alphabet=st.characters(exclude_categories=())) | st.text(alphabet="aZ09 .,-+#*/|\n\t\x1c\x85\u2028é０Ａ½²")
)
def test_a_normalised_text_has_single_spaces_between_digits_alone(text: str) -> None:
    found = normalised(text)
    assert not re.search(r"\s", re.sub(r"(?<=\d) (?=\d)", "", found))
    assert normalised(text.replace(" ", "\n")) == normalised(text.replace(" ", "  ")) == found


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It is 5 o'clock -- now.", 6),
        ("天空是蓝色的。", 3),
        ("空は青い。 なぜ？", 3),
        ("ใช้ iPhone ทุกวัน", 3),
        ("བོད་ཡིག་ནི། ཡིན།", 2),
        ("", 0),
        ("कल क्या है ?", 4),
    ],
)
def test_characters_count_as_parts_of_words_where_there_are_no_spaces(text: str, number: int) -> None:
    assert count_words(text) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("radi\u00adation of elec\u200btrons, \ufeffjoined\u2060 \u200eleft", "radiation of electrons, joined left"),
        ("auf\u200clage", "auflage"),
        ("te\U000e0041\U000e0042a\u3164", "tea"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e007f a", "🏴\U000e0067\U000e0062\U000e0065\U000e007f a"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष and ක්\u200dෂ", "क्\u200dष and ක්\u200dෂ"),
        ("👨\u200d👩\u200d👧 ❤️\u200d🔥 👩🏽\u200d🚀", "👨\u200d👩\u200d👧 ❤️\u200d🔥 👩🏽\u200d🚀"),
    ],
)
def test_invisible_characters_go_except_joiners_with_a_meaning(text: str, expected: str) -> None:
    assert visible(text) == expected


@given(st.text(alphabet="abzABZ ?,'\"'5-.\n", max_size=30))
def test_the_short_cut_for_letters_changes_nothing(text: str) -> None:
    assert normalised(f"{text} é") == normalised(text) + "é"
