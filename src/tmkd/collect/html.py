"""HTML page → title and main text (trafilatura), cleaned of footnote marks, edit links and hidden elements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple
from urllib.parse import urlsplit

from tmkd.collect.charset import decode
from tmkd.collect.hidden import unhide
from tmkd.collect.markup import HtmlElement
from tmkd.collect.prose import prose
from tmkd.errors import optional_import

MAX_HTML_BYTES = 8_000_000  # longer pages are lists or dumps rather than prose
_MAX_ELEMENTS = 100_000  # trafilatura is linear in them: at most 10 s and 0.4 GB
_MAX_ROW_CELLS = 1_000  # of a table row: trafilatura is quadratic in them
# It is also quadratic in block elements inside one text, which is joined anew for each.
_MAX_JOINED_CHARACTERS = 300_000_000
_INLINE_TAGS = frozenset(
    "a abbr b big br cite code del em font i img ins kbd mark q s small span strong sub sup tt u".split()  # noqa: SIM905
)
# A link within the page, or a toggle: it does not lead to another page's text.
_LINK_IN_HEADING = "//*[self::h1 or self::h2 or self::h3 or self::h4 or self::h5 or self::h6]" + (
    "//a[not(@href) or starts-with(@href, '#') or starts-with(@href, 'javascript:')]"
)
_FULL_PAGE = re.compile(r"<(?:html|head|body|frameset)\b", re.IGNORECASE)

_FOOTNOTE_MARK = re.compile(r"\[[^\[\]]{1,30}\]|[*†‡§¶]+|[↑^]", re.DOTALL)
_EDIT_LINK = re.compile(r"\[\s*(?:edit|edit source|hide|show|citation needed|\d{1,3})\s*\]", re.IGNORECASE)
_SEPARATORS = re.compile(r"\s+[|–—·»:-]+\s+|:\s+")


class Page(NamedTuple):
    """Title ("" if there is none) and main text: blank lines between paragraphs, a line per list item or row."""

    title: str
    text: str


def read_page(content: bytes, url: str = "", charset: str | None = None) -> Page | str:
    """Extract the main text of a page without menus, boilerplate, footnote marks and reference lists.

    `charset` is the server's declaration. Gives the reason as a string when there is no main text; no input raises.
    Takes seconds at most: pages above the size limits are rejected.
    Raises: TmkdError when trafilatura is not installed.
    """
    trafilatura, html = _trafilatura()
    if len(content) > MAX_HTML_BYTES:
        return "too large"
    source = decode(content, charset)
    if source is None:
        return "not text"
    if not _FULL_PAGE.search(source[:10_000]):  # a fragment is taken to be main text already
        source = f"<article>{source}</article>"
    # libxml2 drops elements nested deeper than 256, so the recursions below are bounded.
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        tree = html.document_fromstring(source.encode("utf-8", "replace"), parser=parser)
        if _is_too_complex(tree):
            return "too large"
        title = _title(tree, url)
        _prune(tree)
        found = trafilatura.bare_extraction(tree, favor_precision=True, include_comments=False)
    except Exception:  # one page that breaks a library must not stop the others
        return "not readable"
    text = "" if found is None else prose(found.body, title)
    return Page(title, text) if text else "no main text"


def _trafilatura() -> tuple[ModuleType, ModuleType]:
    with optional_import("reading HTML needs", "trafilatura"):
        import trafilatura
        from lxml import html
    return trafilatura, html


def _is_too_complex(tree: HtmlElement) -> bool:
    """True for a page whose extraction would take too long; found by counting, in linear time."""
    number = 0
    for element in tree.iter():
        number += 1
        children = len(element)
        if children > _MAX_ROW_CELLS and element.tag == "tr":
            return True
        if children > 20:
            loose = [len(child.tail.strip()) for child in element if child.tail and child.tag not in _INLINE_TAGS]
            if len(loose) * sum(loose) > _MAX_JOINED_CHARACTERS:
                return True
    return number > _MAX_ELEMENTS


def _title(tree: HtmlElement, url: str) -> str:
    """Title of the page, without the site's name where a heading or the host tells it apart."""
    heads = {" ".join(head.text_content().split()) for head in tree.iter("h1")}
    for given in (*tree.xpath("//head/title"), *tree.xpath("//meta[@property='og:title']/@content")):
        title = " ".join((given if isinstance(given, str) else given.text_content()).split())
        parts = _SEPARATORS.split(title)
        for part in (parts[0], parts[-1]):
            if len(parts) > 1 and part in heads:
                return part
        cut = title.removesuffix(parts[-1]).rstrip(" |–—·»:-")
        site = "".join(filter(str.isalnum, parts[-1].lower()))
        if len(parts) > 1 and site and site in _host(url).replace("-", "").replace(".", ""):
            return cut
        if title:
            return title
    return min(heads) if len(heads) == 1 else ""


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _prune(tree: HtmlElement) -> None:
    """Show text that a reader can open; remove other hidden elements, footnotes, edit links, formulas' source."""
    _remove([*unhide(tree), *tree.iter("annotation", "annotation-xml")])
    marks: list[HtmlElement] = []
    footnotes: set[str] = set()
    for element in tree.iter("sup", "a", "span"):
        text = _mark_text(element)
        if not text:
            continue
        within = [link[1:] for link in element.xpath("descendant-or-self::a/@href") if link.startswith("#")]
        raised = element.tag == "sup"
        # A superscript that links within the page is a footnote mark; a superscript without a link is an exponent.
        if (_FOOTNOTE_MARK if raised or within else _EDIT_LINK).fullmatch(text) or (
            raised and within and len(text) <= 4
        ):
            marks.append(element)
            footnotes.update(within)
    notes = [note for note in tree.xpath("//li[@id] | //p[@id] | //dd[@id]") if note.get("id") in footnotes]
    _remove(marks + notes)
    for link in tree.xpath(_LINK_IN_HEADING):
        link.tag = "span"  # trafilatura drops headings with links in them, and what follows


def _remove(elements: Iterable[HtmlElement]) -> None:
    """Remove elements but keep the text after them; runs of neighbours at once, since each join copies the text."""
    removed = set(elements)
    for element in removed:
        parent, before = element.getparent(), element.getprevious()
        if parent is None or before in removed:
            continue
        tails: list[str] = []
        neighbour: HtmlElement | None = element
        while neighbour is not None and neighbour in removed:
            following = neighbour.getnext()
            tails.append(neighbour.tail or "")
            parent.remove(neighbour)
            neighbour = following
        if before is None:
            parent.text = (parent.text or "") + "".join(tails)
        else:
            before.tail = (before.tail or "") + "".join(tails)


def _mark_text(element: HtmlElement) -> str:
    """Text of an element; "" when it is longer than a footnote mark, without reading the rest."""
    text = ""
    for piece in element.itertext():
        text += piece
        if len(text) > 60:
            return ""
    return text.strip()
