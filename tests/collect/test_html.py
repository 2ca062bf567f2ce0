from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.collect import html
from tmkd.collect.html import Page, read_page
from tmkd.errors import TmkdError

FIRST = "A lake is a body of water that is surrounded by land, and it lies in a basin which a river may feed."
SECOND = "Most lakes are in the north, where ice once covered the land and left hollows that filled with water."
MENU = '<nav><ul><li><a href="/">Home</a></li><li><a href="/shop">Shop now</a></li></ul></nav>'
FOOT = "<footer><p>Copyright 2020, all rights reserved, terms of service</p></footer>"


def page(body: str, head: str = "<title>Lakes</title>") -> bytes:
    return f"<html><head>{head}</head><body>{MENU}<article>{body}</article>{FOOT}</body></html>".encode()


def found(content: bytes, url: str = "http://a.example/", charset: str | None = None) -> Page:
    read = read_page(content, url, charset)
    assert isinstance(read, Page), read
    return read


def test_the_main_text_comes_without_menu_and_footer() -> None:
    assert found(page(f"<p>{FIRST}</p><p>{SECOND}</p>")) == Page("Lakes", f"{FIRST}\n\n{SECOND}")


def test_headings_lists_and_references_of_a_whole_page() -> None:
    references = "<h2>References</h2><ol><li>Smith, J. (2001). Lakes. Retrieved 2 May 2010.</li></ol>"
    body = f"<h1>Lakes</h1><p>{FIRST}</p><h2>Uses</h2><ul><li>to swim</li><li>to fish</li></ul>{references}"
    assert found(page(body)).text == f"{FIRST}\n\nUses:\n\nto swim;\nto fish."


def test_a_fragment_is_read_as_main_text() -> None:
    assert found(f"<p>{FIRST}</p><h2>North</h2><p>{SECOND}</p>".encode()).text == f"{FIRST}\n\nNorth:\n\n{SECOND}"


@pytest.mark.parametrize(
    "mark",
    [
        '<sup class="reference"><a href="#note">[1]</a></sup>',
        "<sup>[<i>citation needed</i>]</sup>",
        '<sup><a href="#note">12</a></sup>',
        '<a href="#note">[a]</a>',
        "<span>[<a href='/edit'>edit</a>]</span>",
        "<sup>†</sup>",
        '<span style="DISPLAY: none">sort key</span>',
        "<b hidden>hint</b>",
    ],
)
def test_markup_and_hidden_parts_are_taken_out(mark: str) -> None:
    assert found(page(f"<p>{FIRST}{mark} It is deep.</p><p>{SECOND}</p>")).text == f"{FIRST} It is deep.\n\n{SECOND}"


def test_exponents_brackets_and_ordinary_links_stay() -> None:
    body = (
        f'<p>{FIRST} It has 10 km<sup>2</sup> [sic] and <a href="#uses">uses</a> of <a href="/x">[many]</a> kinds.</p>'
    )
    assert found(page(body)).text == f"{FIRST} It has 10 km2 [sic] and uses of [many] kinds."


def test_footnotes_are_left_out_by_the_marks_that_lead_to_them() -> None:
    note = '<ol><li id="n1"><a href="#r1">back</a> A note about the second lake, which nobody needs to read.</li></ol>'
    body = f'<p>{FIRST}<sup id="r1"><a href="#n1">1</a></sup></p><p>{SECOND}</p>{note}'
    assert found(page(body)).text == f"{FIRST}\n\n{SECOND}"


@pytest.mark.parametrize(
    ("head", "heading", "url", "title"),
    [
        ("<title>Lakes - Example</title>", "", "http://www.example.org/", "Lakes"),
        ("<title>Lakes | The Example</title>", "", "http://the-example.org/", "Lakes"),
        ("<title>Lakes - a guide</title>", "", "http://www.example.org/", "Lakes - a guide"),
        ("<title>Site: Lakes</title>", "<h1>Lakes</h1>", "", "Lakes"),
        ('<meta property="og:title" content="Big  lakes">', "", "", "Big lakes"),
        ("<title> </title>", "<h1>One</h1>", "", "One"),
        ("", "<h1>One</h1><h1>Two</h1>", "", ""),
        ("<title>Lakes - Example</title>", "", "http://[broken", "Lakes - Example"),
    ],
)
def test_a_title_loses_the_sites_name_only_where_it_is_plain(head: str, heading: str, url: str, title: str) -> None:
    assert found(page(f"{heading}<p>{FIRST}</p><p>{SECOND}</p>", head), url).title == title


def test_a_wrong_charset_is_seen_through() -> None:
    body = f"<p>{FIRST} Où est l’été ? {SECOND}</p>"
    assert "Où est l’été" in found(page(body), charset="iso-8859-1").text
    assert "Où est l’été" in found(page(body).decode().encode("cp1252"), charset="utf-8").text


def test_nul_bytes_and_control_characters_are_taken_out() -> None:
    assert found(page(f"<p>{FIRST[:9]}\0{FIRST[9:]}\x0b</p><p>{SECOND}</p>")).text == f"{FIRST}\n\n{SECOND}"


NESTED = 100_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no main text"),
        (b"   ", "no main text"),
        (b"<!-- nothing -->", "no main text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 99, "not text"),
        (page("<div>" * NESTED + FIRST + "</div>" * NESTED), "no main text"),
        (page("<ul><li>" * NESTED + FIRST), "no main text"),
        (page("<b>" * NESTED), "no main text"),
        (page("<p>x" * (NESTED + 1)), "too large"),
        (page("<" * NESTED), "no main text"),
        (page("<table><tr>" + "<td>cell" * 1_001), "too large"),  # as the square of their number
        (page("<aside>x</aside> loose text" * 9_000), "too large"),
    ],
)
def test_content_without_text_gives_a_reason_and_never_hangs(content: bytes, reason: str) -> None:
    assert read_page(content) == reason


def test_nesting_up_to_the_parsers_limit_is_read() -> None:
    for deep in ("<div>", "<ul><li>", "<blockquote>", "<table><tr><td>"):
        read = read_page(page(f"<p>{FIRST}</p><p>{SECOND}</p>" + deep * 120 + FIRST))
        assert isinstance(read, Page), deep
        assert SECOND in read.text


def test_very_many_marks_are_taken_out_in_no_time() -> None:
    start = time.process_time()
    text = found(page("<p>" + "some words<sup>[1]</sup> " * 20_000)).text
    assert time.process_time() - start < 8
    assert text == ("some words " * 20_000).strip()


def test_a_page_above_the_limit_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MAX_HTML_BYTES", 1_000)
    monkeypatch.setattr(html, "decode", lambda *_: pytest.fail("read"))
    assert read_page(b"x" * 1_001) == "too large"


def test_a_library_that_stumbles_costs_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    import trafilatura

    def stumble(*_: object, **__: object) -> Iterator[str]:
        raise RecursionError

    monkeypatch.setattr(trafilatura, "bare_extraction", stumble)
    assert read_page(page(f"<p>{FIRST}</p>")) == "not readable"


def test_without_trafilatura_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(TmkdError, match=r"reading HTML needs trafilatura: pip install 'tmkd\[collect\]'"):
        read_page(b"<p>x")


PIECES = [
    "<p>",
    "</p>",
    "<table>",
    "<tr>",
    "<td>",
    "<sup>[1]",
    "<a href='#",
    "<ul><li>",
    "<h2>",
    "<br>",
    "&#0;",
    "&",
    "<!--",
]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=30))
def test_any_page_gives_a_page_or_a_reason(pieces: list[str]) -> None:
    assert read_page("".join(pieces).encode("utf-8", "replace"), "http://a.example/")
