"""A page of HTML, as a server sent it → its title and its main text, for people to read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tmkd.collect.charset import decode
from tmkd.collect.prose import prose
from tmkd.errors import TmkdError

LARGEST = 8_000_000  # bytes of HTML; what is longer is a list or a dump, not a text
_MOST_ELEMENTS = 100_000  # trafilatura takes time and memory in proportion: 10 s and 0.4 GB at most
_MOST_CELLS = 1_000  # of a table's row: here the time grows with the square
# So it does, and the memory, with blocks that are taken out of one text, which is joined anew for each: characters.
_MOST_JOINED = 300_000_000
_PHRASES = frozenset(
    "a abbr b big br cite code del em font i img ins kbd mark q s small span strong sub sup tt u".split()  # noqa: SIM905
)
_WHOLE = re.compile(r"<(?:html|head|body|frameset)\b", re.IGNORECASE)

_FOOTNOTE = re.compile(r"\[[^\[\]]{1,30}\]|[*†‡§¶]+|[↑^]", re.DOTALL)
_EDIT = re.compile(r"\[\s*(?:edit|edit source|hide|show|citation needed|\d{1,3})\s*\]", re.IGNORECASE)
_HIDDEN = re.compile(r"display:\s*none", re.IGNORECASE)
_SEPARATORS = re.compile(r"\s+[|–—·»:-]+\s+|:\s+")


class Page(NamedTuple):
    """A page's title ("" if it has none) and main text: paragraphs apart by blank lines, a line to an item or row."""

    title: str
    text: str


def read_page(content: bytes, url: str = "", charset: str | None = None) -> Page | str:
    """The main text of a page without menus, boilerplate, footnote marks and reference lists; `charset` as declared.

    In short words why there is none, for any bytes. At most some seconds: what is too large or too intricate is left.
    Raises: TmkdError when trafilatura is not installed.
    """
    extract, html = _trafilatura()
    if len(content) > LARGEST:
        return "too large"
    source = decode(content, charset)
    if source is None:
        return "not text"
    if not _WHOLE.search(source[:10_000]):  # a fragment is what somebody took for the main text already
        source = f"<article>{source}</article>"
    # libxml2 leaves out what is nested deeper than 256, so that nothing below can run out of stack.
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        tree = html.document_fromstring(source.encode("utf-8", "replace"), parser=parser)
        if _intricate(tree):
            return "too large"
        title = _title(tree, url)
        _prune(tree)
        found = extract(tree, favor_precision=True, include_comments=False)
    except Exception:  # whatever a library stumbles over in one page of many
        return "not readable"
    text = "" if found is None else prose(found.body, title)
    return Page(title, text) if text else "no main text"


def _trafilatura() -> tuple[Any, Any]:
    try:
        from lxml import html
        from trafilatura import bare_extraction
    except ImportError as error:
        raise TmkdError("reading HTML needs trafilatura: pip install 'tmkd[collect]'") from error
    return bare_extraction, html


def _intricate(tree: Any) -> bool:
    """Whether reading the page would take too long: known by counting, in time proportional to the page."""
    number = 0
    for element in tree.iter():
        number += 1
        children = len(element)
        if children > _MOST_CELLS and element.tag == "tr":
            return True
        if children > 20:
            loose = [len(child.tail.strip()) for child in element if child.tail and child.tag not in _PHRASES]
            if len(loose) * sum(loose) > _MOST_JOINED:
                return True
    return number > _MOST_ELEMENTS


def _title(tree: Any, url: str) -> str:
    """The page's title without the site's name, where it is plain which part that is."""
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


def _prune(tree: Any) -> None:
    """Take out what is not shown, footnotes and their marks, edit links and the source code of formulas."""
    hidden = (element for element in tree.xpath("//*[@hidden or @style]") if _is_hidden(element))
    _drop([*hidden, *tree.iter("annotation", "annotation-xml")])
    marks: list[Any] = []
    footnotes: set[str] = set()
    for element in tree.iter("sup", "a", "span"):
        text = _short(element)
        if not text:
            continue
        within = [link[1:] for link in element.xpath("descendant-or-self::a/@href") if link.startswith("#")]
        raised = element.tag == "sup"
        # A raised number that leads to another place of the page is a footnote's, a raised number alone an exponent.
        if (_FOOTNOTE if raised or within else _EDIT).fullmatch(text) or (raised and within and len(text) <= 4):
            marks.append(element)
            footnotes.update(within)
    notes = [note for note in tree.xpath("//li[@id] | //p[@id] | //dd[@id]") if note.get("id") in footnotes]
    _drop(marks + notes)


def _is_hidden(element: Any) -> bool:
    return element.get("hidden") is not None or _HIDDEN.search(element.get("style", "")) is not None


def _drop(elements: Iterable[Any]) -> None:
    """Take elements out and leave the text after them; neighbours at once, as each joining copies the text before."""
    gone = set(elements)
    for element in gone:
        parent, before = element.getparent(), element.getprevious()
        if parent is None or before in gone:
            continue
        tails: list[str] = []
        while element is not None and element in gone:
            following = element.getnext()
            tails.append(element.tail or "")
            parent.remove(element)
            element = following
        if before is None:
            parent.text = (parent.text or "") + "".join(tails)
        else:
            before.tail = (before.tail or "") + "".join(tails)


def _short(element: Any) -> str:
    """An element's text, "" if it is longer than a mark: only its beginning is looked at."""
    text = ""
    for piece in element.itertext():
        text += piece
        if len(text) > 60:
            return ""
    return text.strip()
