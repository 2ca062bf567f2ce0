"""Texts inside messages."""

from __future__ import annotations

from tmkd.data.messages import short


def test_a_short_text_is_put_on_one_line() -> None:
    assert short("two\n  lines\there") == "two lines here"


def test_a_long_text_is_cut_to_the_length_with_an_ellipsis() -> None:
    assert short("x" * 60) == "x" * 60
    assert short("x" * 61) == "x" * 59 + "…"
    assert short("abcdef", 4) == "abc…"
