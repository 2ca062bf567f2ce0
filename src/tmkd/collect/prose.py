"""The main text that trafilatura found in a page (an XML tree in the manner of TEI) → paragraphs to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

Block = tuple[int, str]  # the level of a heading, 1 to 6, or 0 for a paragraph, a list or a table; its text

_APPENDIX = re.compile(
    r"(?:\d+\.?\s+)?(?:notes (?:and|&) )?(?:(?:table of )?contents|references|external links|see also|further reading"
    r"|footnotes|citations|bibliography|works cited|related (?:articles|links|posts|pages))"
    r"(?: (?:and|&) \w+(?: \w+)?)?\s*:?",
    re.IGNORECASE,
)
# A line that only sends the reader elsewhere, or says nothing.
_EMPTY = re.compile(
    r"(?:main articles?|see(?: also)?|further information|for more(?: information)?|read more|source)\s?:"
    r".{0,100}(?<![.!?])"
    r"|coordinates:?|https?://\S+|\W+",
    re.IGNORECASE,
)
_DEGREES = r"\d{1,3}(?:\.\d+)?°\s?(?:\d{1,2}(?:\.\d+)?[′']\s?)?(?:\d{1,2}(?:\.\d+)?[″\"]\s?)?"
_PLACE = rf"{_DEGREES}[NS][\s,]{{1,3}}{_DEGREES}[EWO]"
_COORDINATES = re.compile(rf"(?:Coordinates:\s?)?{_PLACE}(?:[\s\ufeff]*/[\s\ufeff]*{_PLACE})?")
_SPACE = re.compile(r"\s+")
_NOTHING = re.compile(r"\s*\(\s*[,;]?\s*\)")
_APART = re.compile(r"\s+([,;.](?:\s|$))")
_WORD = re.compile(r"[^\W\d_]{3}")
_PARAGRAPH_END = re.compile(r"\n\s*\n")
_ENDED = re.compile(r"[.!?…:;。！？।][\"'”’»)\]]*$")
_INLINE = ("hi", "ref", "del", "code", "graphic")
_LAYOUT = 60  # words; a longer cell is no fact: its table only lays out the page
_LEAD = 20  # words; a longer paragraph says something even if what it announces is left out
_LABEL = 8  # words of a cell that names others
# Of tables with three columns and more: larger ones are data, and their rows say little by themselves.
_MOST_ROWS, _MOST_COLUMNS = 12, 6


def prose(body: Any, title: str) -> str:
    """Paragraphs apart by blank lines; lists and tables are paragraphs with an item or a row to a line.

    Each heading comes before what it heads, ended by a colon. Left out: appendices such as references, headings of
    nothing and the page's `title`, coordinates, tables of numbers and large ones.
    """
    return "\n\n".join(_sections(_blocks(body), title))


def _sections(blocks: Iterable[Block], title: str) -> Iterator[str]:
    """Paragraphs, and headings with a colon, without appendices and without what leads to nothing."""
    leading: list[Block] = []  # headings and short paragraphs that end in a colon
    left_out = 7
    for level, text in blocks:
        if level:
            if level <= left_out:
                left_out = level if _APPENDIX.fullmatch(text) else 7
            leading = [one for one in leading if 0 < one[0] < level]
        if left_out < 7 or text == title:
            continue
        if level:
            leading.append((level, f"{text.rstrip(' .:')}:"))
        elif text.endswith(":") and len(text.split()) <= _LEAD:
            leading.append((0, text))
        else:
            yield from (one for _, one in leading)
            leading = []
            yield text


def _blocks(element: Any) -> Iterator[Block]:
    """(level, text) in order: level 1 to 6 for a heading, 0 for a paragraph, a list or a table."""
    loose = [_spaced(element.text)]
    for child in element:
        if child.tag in _INLINE:
            loose.append(_spaced("".join(child.itertext())))
        elif child.tag == "lb":
            loose.append("\n")
        else:
            yield from _paragraphs("".join(loose))
            loose = []
            if child.tag == "head":
                level = child.get("rend", "h2")[1:]
                text = _tidy("".join(child.itertext()))
                if text:
                    yield (min(int(level), 6) if level.isdecimal() else 2), text
            elif child.tag == "list":
                yield from _listed(_items(child))
            elif child.tag == "table" or child.find("row") is not None:
                yield from _table(child)
            else:
                yield from _blocks(child)
        loose.append(_spaced(child.tail))
    yield from _paragraphs("".join(loose))


def _spaced(text: str | None) -> str:
    """A piece of text without line ends, which mean nothing in HTML."""
    return _SPACE.sub(" ", text or "")


def _paragraphs(text: str) -> Iterator[Block]:
    for paragraph in _PARAGRAPH_END.split(text):
        lines = [line for line in map(_tidy, paragraph.split("\n")) if line and not _EMPTY.fullmatch(line)]
        if lines:
            yield 0, "\n".join(lines)


def _tidy(line: str) -> str:
    """A line with single spaces, without coordinates and what else was left empty."""
    line = _NOTHING.sub("", _COORDINATES.sub("", " ".join(line.split())))
    return _APART.sub(r"\1", line).strip()


def _items(element: Any) -> Iterator[str]:
    """A line for each item, also of lists in lists."""
    for item in element:
        for _, text in _blocks(item):
            yield from text.split("\n")


def _listed(lines: Iterable[str]) -> Iterator[Block]:
    """Items or rows as a paragraph that can be read: "2 eggs;", "1 cup of milk."; footnotes are none."""
    kept = [line for line in lines if line and line[0] not in "^↑"]
    if kept:
        ended = [line if _ENDED.search(line) else f"{line};" for line in kept]
        ended[-1] = re.sub("[;:]$", ".", ended[-1])
        yield 0, "\n".join(ended)


def _table(element: Any) -> Iterator[Block]:
    """A table of facts as lines; one that only lays out the page as what is in it; numbers alone as nothing."""
    rows = [list(row) for row in element if row.tag == "row"]
    blocks = [[list(_blocks(cell)) for cell in row] for row in rows]
    texts = [[" ".join(" ".join(text for _, text in cell).split()) for cell in row] for row in blocks]
    if any(len(text.split()) > _LAYOUT for row in texts for text in row):
        # What is beside the long cells are numbers and labels of them.
        yield from (block for row in blocks for cell in row for block in cell if len(block[1].split()) > _LABEL)
        return
    head: list[str] = []
    lines: list[str] = []
    for row, cells in zip(rows, texts, strict=True):
        if len(row) > 1 and all(cell.get("role") == "head" for cell in row):
            head = cells
        else:
            lines.append(_row(cells, head))
    told = [line for line in lines if line]
    if len(head) > 2 and (len(head) > _MOST_COLUMNS or len(told) > _MOST_ROWS):
        return
    # A row of one cell heads the rows below it; where there are none it says nothing.
    both = pairwise([*told, ":"])
    facts = [line for line, following in both if not (line.endswith(":") and following.endswith(":"))]
    if len(facts) > 1 or any(len(line.split()) > _LABEL for line in facts):
        yield from _listed(facts)


def _row(cells: list[str], head: list[str]) -> str:
    """A row as "name: value, name: value", "" when nothing says what its cells are, or too few have a word to read."""
    cells = [cell if any(map(str.isalnum, cell)) else "" for cell in cells]
    told = [cell for cell in cells if cell]
    wordy = sum(_WORD.search(cell) is not None for cell in told)
    if not wordy or wordy < 0.5 * len(told):
        return ""
    if len(told) == 1:
        return f"{told[0].rstrip(':')}:" if cells[0] and len(told[0].split()) <= _LABEL else told[0]
    if len(head) == len(cells) and len(head) > 2:
        named = zip(head, cells, strict=True)
        return ", ".join(f"{name.rstrip(':')}: {cell}" if name else cell for name, cell in named if cell)
    return f"{told[0].rstrip(':')}: {told[1]}" if len(told) == 2 else ""
