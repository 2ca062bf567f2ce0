"""Markdown whose texts are no markup."""

from __future__ import annotations

from tmkd.report.markdown import markdown_table, markdown_text


def test_no_character_of_a_text_is_markup() -> None:
    assert markdown_text("a|b*c_d\n<script>`&[x](y)") == r"a\|b\*c\_d \<script\>\`&amp;\[x\](y)"


def test_a_table_has_its_names_on_the_left_and_escapes_names_and_cells() -> None:
    assert markdown_table(("row", "a|b"), [("x", "1"), ("y", "<2>")]).splitlines() == [
        r"| row | a\|b |",
        "| --- | ---: |",
        "| x | 1 |",
        r"| y | \<2\> |",
    ]
