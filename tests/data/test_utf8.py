"""Byte-order marks at the start of a text."""

from __future__ import annotations

import pytest

from tmkd.data.utf8 import without_mark, without_marks
from tmkd.errors import TmkdError


@pytest.mark.parametrize("text", ["", "a", "\ufeffa", "\ufeff\ufeffa", "\ufeff"])
def test_marks_of_utf8_are_removed(text: str) -> None:
    assert without_mark(text.encode(), "x") == text.strip("\ufeff").encode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_utf16_and_utf32_are_refused_with_a_mark_and_without(encoding: str) -> None:
    with pytest.raises(TmkdError, match=r"^here: UTF-16 or UTF-32, or no text at all; save it as UTF-8$"):
        without_mark("a,b\n".encode(encoding), "here")


def test_marks_before_any_line_are_removed_and_others_stay() -> None:
    lines = ["\ufeffa\n", "b\ufeff\n", "\ufeffc\n", "\n"]
    assert b"".join(without_marks((line.encode() for line in lines), "x")).decode() == "a\nb\ufeff\nc\n\n"
    with pytest.raises(TmkdError, match=r"^here: UTF-16"):
        list(without_marks([b"\xff\xfea\0\n"], "here"))
