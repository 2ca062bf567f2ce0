from __future__ import annotations

import pytest
from lxml import etree

from tmkd.collect.prose import prose


def text(body: str, title: str = "") -> str:
    return prose(etree.fromstring(f"<body>{body}</body>"), title)


def rows(*cells: str) -> str:
    """Rows of a table, cells apart by |; a row that starts with ! is its head."""
    made = ""
    for row in cells:
        role = ' role="head"' if row.startswith("!") else ""
        made += "<row>" + "".join(f"<cell{role}>{cell}</cell>" for cell in row.lstrip("!").split("|")) + "</row>"
    return f"<table>{made}</table>"


def test_paragraphs_are_apart_by_blank_lines() -> None:
    assert text("<p>One <hi>two</hi>\n three.</p><div><p>Four.</p>Five<lb/>six.<lb/><lb/>Seven.</div>") == (
        "One two three.\n\nFour.\n\nFive\nsix.\n\nSeven."
    )


def test_letters_of_one_word_stay_together_and_blocks_do_not() -> None:
    assert text("<p>H<hi>2</hi>O</p>") == "H2O"
    assert text(rows("Towns|<p>York</p><p>Leeds</p>", "River|Ouse")) == "Towns: York Leeds;\nRiver: Ouse."


def test_a_heading_comes_with_a_colon_before_what_it_heads() -> None:
    assert text('<head rend="h1">Tea</head><head rend="h2">Origin.</head><p>China.</p>') == "Tea:\n\nOrigin:\n\nChina."


def test_the_title_and_headings_of_nothing_are_left_out() -> None:
    body = '<head rend="h1">Tea</head><head rend="h2">Key</head><head rend="h2">Use</head><p>To drink.</p>'
    assert text(f'{body}<p>These are:</p><head rend="h2">End</head>', "Tea") == "Use:\n\nTo drink."


@pytest.mark.parametrize(
    "name",
    ["References", "7. References", "External links", "See also:", "Notes and references", "Contents", "Related posts"],
)
def test_an_appendix_is_left_out_up_to_the_next_heading_of_its_level(name: str) -> None:
    appendix = f'<head rend="h2">{name}</head><p>a</p><head rend="h3">b</head><p>c</p>'
    assert text(f'<p>x</p>{appendix}<head rend="h2">More</head><p>y</p>') == "x\n\nMore:\n\ny"


def test_a_chapter_about_references_stays() -> None:
    assert text('<head rend="h2">References in literature</head><p>x</p>') == "References in literature:\n\nx"


def test_items_of_a_list_are_lines_that_end() -> None:
    inner = "<list><item>whole</item><item>ground.</item></list>"
    assert text(
        f"<p>Spices:</p><list><item>Salt</item><item><p>Pepper</p>{inner}</item><item>^ a b Smith</item></list>"
    ) == ("Spices:\n\nSalt;\nPepper;\nwhole;\nground.")


def test_a_table_of_two_columns_gives_names_and_values() -> None:
    assert (
        text(rows("Place:|", "Length:|27 mi", "Opened|2003", "Junctions|")) == "Place:\nLength: 27 mi;\nOpened: 2003."
    )


def test_wider_tables_name_each_value_by_their_head() -> None:
    assert text(rows("!Year|Winner|Place", "2001|Ann|Rome", "2002||Oslo")) == (
        "Year: 2001, Winner: Ann, Place: Rome;\nYear: 2002, Place: Oslo."
    )


@pytest.mark.parametrize(
    "table",
    [
        rows("!Year|A|B", "2001|3|4", "2002|5|6"),
        rows("one word|two words|three"),  # nothing says what they are
        rows("!Name|Town|Age", *["Ann|Rome|7"] * 13),
        rows("!" + "|".join("abcdefg"), "Name|Town|Age|Sort|Place|Time|Result"),
        rows("Notes"),
        rows("↑|*"),
    ],
)
def test_tables_of_numbers_large_ones_and_loose_cells_are_left_out(table: str) -> None:
    assert text(f"<p>x</p>{table}<p>y</p>") == "x\n\ny"


def test_a_table_that_lays_out_a_page_gives_its_paragraphs() -> None:
    long = "word " * 61
    assert text(rows(f"<p>{long}end.</p><p>{long}</p>|Menu")) == f"{long}end.\n\n{long.strip()}"


def test_coordinates_pointers_and_empty_brackets_are_left_out() -> None:
    assert text("<p>Rome (; ) lies at 41°53′36″N 12°28′58″E\ufeff / \ufeff41.89°N 12.48°E, in Italy .</p>") == (
        "Rome lies at, in Italy."
    )
    assert text("<p>Main article: History of Rome</p><p>See also: Lazio.</p><p>–</p><p>https://a.example/b</p>") == (
        "See also: Lazio."
    )


def test_tables_in_tables_are_each_read_once() -> None:
    body = "<p>deep</p>"
    for _ in range(60):
        body = f"<table><row><cell>{body}</cell><cell>{'word ' * 61}</cell></row></table>"
    assert text(body).count("word word") > 60  # and it ends: twice for each level would take 2^60 steps


def test_a_page_without_text_gives_none() -> None:
    assert text("<head>Only</head><p> </p><list/><table/>") == ""
