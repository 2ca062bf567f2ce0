"""Texts inside messages."""

from __future__ import annotations

from tmkd.data.messages import short, unlabelled_remedy


def test_a_short_text_is_put_on_one_line() -> None:
    assert short("two\n  lines\there") == "two lines here"


def test_a_long_text_is_cut_to_the_length_with_an_ellipsis() -> None:
    assert short("x" * 60) == "x" * 60
    assert short("x" * 61) == "x" * 59 + "…"
    assert short("abcdef", 4) == "abc…"


def test_what_to_do_about_a_row_without_a_label_depends_on_the_others() -> None:
    told = 'take the labelled rows alone: where: {"gold": ["yes", "no"]}'
    assert unlabelled_remedy("gold", ["yes", "no", "yes"]) == told
    assert unlabelled_remedy("label", []).startswith("as in GLUE's test sets")
    assert unlabelled_remedy("score", map(str, range(100))) == "take such rows out of the file"
