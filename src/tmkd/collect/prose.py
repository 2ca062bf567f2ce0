"""trafilatura's main text (an XML tree like TEI) → readable paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from tmkd.collect.markup import Element
from tmkd.data.words import count_words

Block = tuple[int, str]  # the level of a heading, 1 to 6, or 0 for a paragraph, a list or a table; its text

_APPENDIX = re.compile(
    r"(?:\d+\.?\s+)?(?:notes (?:and|&) )?(?:(?:table of )?contents|references|external links|see also|further reading"
    r"|footnotes|citations|bibliography|works cited|related (?:articles|links|posts|pages))"
    r"(?: (?:and|&) \w+(?: \w+)?)?\s*:?",
    re.IGNORECASE,
)
# Lines without content: cross-references, bare links, punctuation.
_EMPTY_LINE = re.compile(
    r"(?:main articles?|see(?: also)?|further information|for more(?: information)?|read more|source)\s?:"
    r".{0,100}(?<![.!?])"
    r"|coordinates:?|https?://\S+|\W+",
    re.IGNORECASE,
)
_DEGREES = r"\d{1,3}(?:\.\d+)?°\s?(?:\d{1,2}(?:\.\d+)?[′']\s?)?(?:\d{1,2}(?:\.\d+)?[″\"]\s?)?"
_PLACE = rf"{_DEGREES}[NS][\s,]{{1,3}}{_DEGREES}[EWO]"
_COORDINATES = re.compile(rf"(?:Coordinates:\s?)?{_PLACE}(?:[\s\ufeff]*/[\s\ufeff]*{_PLACE})?")
_SPACE = re.compile(r"\s+")
_EMPTY_PARENTHESES = re.compile(r"\s*\(\s*[,;]?\s*\)")
_SPACED_PUNCTUATION = re.compile(r"\s+([,;.](?:\s|$))")
_WORD = re.compile(r"[^\W\d_]{3}")
_PARAGRAPH_END = re.compile(r"\n\s*\n")
_SENTENCE_END = re.compile(r"[.!?…:;。！？।॥؟۔።။។：；][\"'”’»)\]」』）】]*$")
_INLINE = ("hi", "ref", "del", "code", "graphic")
_LAYOUT_CELL_WORDS = 60  # words; a table with a longer cell is taken for page layout
_MAX_LEAD_WORDS = 20  # words; a longer paragraph is kept even when the list it introduces is dropped
_MAX_LABEL_WORDS = 8  # words of a cell that is a label of others
# Tables of three or more columns: larger ones are data whose rows mean little on their own.
_MAX_TABLE_ROWS, _MAX_TABLE_COLUMNS = 12, 6


def prose(body: Element, title: str) -> str:
    """Render a tree as paragraphs separated by blank lines; lists and tables have one item or row per line.

    Headings end with a colon. Dropped: appendices such as references, headings without text, the page's `title`,
    coordinates, and tables that are large or numeric.
    """
    return "\n\n".join(_sections(_blocks(body), title))


def _sections(blocks: Iterable[Block], title: str) -> Iterator[str]:
    """Iterate over paragraphs and headings, without appendices and without headings of empty sections."""
    leading: list[Block] = []  # headings and short paragraphs that end in a colon
    skipped_level = 7
    for level, text in blocks:
        if level:
            if level <= skipped_level:
                skipped_level = level if _APPENDIX.fullmatch(text) else 7
            leading = [one for one in leading if 0 < one[0] < level]
        if skipped_level < 7 or text == title:
            continue
        if level:
            leading.append((level, f"{text.rstrip(' .:：')}:"))
        elif text.endswith((":", "：")) and count_words(text) <= _MAX_LEAD_WORDS:
            leading.append((0, text))
        else:
            yield from (one for _, one in leading)
            leading = []
            yield text


def _blocks(element: Element) -> Iterator[Block]:
    """Split an element into blocks (level, text): level 1 to 6 for headings, 0 for paragraphs, lists and tables."""
    loose = [_single_spaced(element.text)]
    for child in element:
        if child.tag in _INLINE:
            loose.append(_single_spaced("".join(child.itertext())))
        elif child.tag == "lb":
            loose.append("\n")
        else:
            yield from _paragraphs("".join(loose))
            loose = []
            if child.tag == "head":
                level = child.get("rend", "h2")[1:]
                text = _clean_line("".join(child.itertext()))
                if text:
                    yield (min(int(level), 6) if level.isdecimal() else 2), text
            elif child.tag == "list":
                yield from _list_block(_items(child))
            elif child.tag == "table" or child.find("row") is not None:
                yield from _table(child)
            else:
                yield from _blocks(child)
        loose.append(_single_spaced(child.tail))
    yield from _paragraphs("".join(loose))


def _single_spaced(text: str | None) -> str:
    """Replace white space, line ends included, by single spaces, as HTML renders it."""
    return _SPACE.sub(" ", text or "")


def _paragraphs(text: str) -> Iterator[Block]:
    for paragraph in _PARAGRAPH_END.split(text):
        lines = [line for line in map(_clean_line, paragraph.split("\n")) if line and not _EMPTY_LINE.fullmatch(line)]
        if lines:
            yield 0, "\n".join(lines)


def _clean_line(line: str) -> str:
    """Remove coordinates, empty parentheses and repeated spaces from a line."""
    line = _EMPTY_PARENTHESES.sub("", _COORDINATES.sub("", " ".join(line.split())))
    return _SPACED_PUNCTUATION.sub(r"\1", line).strip()


def _items(element: Element) -> Iterator[str]:
    """Iterate over the lines of list items, nested lists included."""
    for item in element:
        for _, text in _blocks(item):
            yield from text.split("\n")


def _list_block(lines: Iterable[str]) -> Iterator[Block]:
    """Join items or rows into a paragraph with punctuation: "2 eggs;", "1 cup of milk."; footnotes are dropped."""
    kept = [line for line in lines if line and line[0] not in "^↑"]
    if kept:
        ended = [line if _SENTENCE_END.search(line) else f"{line};" for line in kept]
        ended[-1] = re.sub("[;:]$", ".", ended[-1])
        yield 0, "\n".join(ended)


def _table(element: Element) -> Iterator[Block]:
    """Render a table of facts as lines, a layout table as its blocks, a numeric table as nothing."""
    rows = [list(row) for row in element if row.tag == "row"]
    blocks = [[list(_blocks(cell)) for cell in row] for row in rows]
    texts = [[" ".join(" ".join(text for _, text in cell).split()) for cell in row] for row in blocks]
    if any(count_words(text) > _LAYOUT_CELL_WORDS for row in texts for text in row):
        # The other cells are only numbers and labels.
        yield from (
            block for row in blocks for cell in row for block in cell if count_words(block[1]) > _MAX_LABEL_WORDS
        )
        return
    head: list[str] = []
    lines: list[str] = []
    for row, cells in zip(rows, texts, strict=True):
        if len(row) > 1 and all(cell.get("role") == "head" for cell in row):
            head = cells
        else:
            lines.append(_row(cells, head))
    filled = [line for line in lines if line]
    if len(head) > 2 and (len(head) > _MAX_TABLE_COLUMNS or len(filled) > _MAX_TABLE_ROWS):
        return
    # A row of one cell is the heading of the rows below it; without any it is dropped.
    both = pairwise([*filled, ":"])
    facts = [line for line, following in both if not (line.endswith(":") and following.endswith(":"))]
    if len(facts) > 1 or any(count_words(line) > _MAX_LABEL_WORDS for line in facts):
        yield from _list_block(facts)


def _row(cells: list[str], head: list[str]) -> str:
    """Render a row as "name: value, name: value"; "" when its cells have no names, or too few contain words."""
    cells = [cell if any(map(str.isalnum, cell)) else "" for cell in cells]
    filled = [cell for cell in cells if cell]
    wordy = sum(_WORD.search(cell) is not None for cell in filled)
    if not wordy or wordy < 0.5 * len(filled):
        return ""
    if len(filled) == 1:
        return f"{filled[0].rstrip(':')}:" if cells[0] and count_words(filled[0]) <= _MAX_LABEL_WORDS else filled[0]
    if len(head) == len(cells) and len(head) > 2:
        named = zip(head, cells, strict=True)
        return ", ".join(f"{name.rstrip(':')}: {cell}" if name else cell for name, cell in named if cell)
    return f"{filled[0].rstrip(':')}: {filled[1]}" if len(filled) == 2 else ""
