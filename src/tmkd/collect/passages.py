"""Passage extraction: document text → passages of whole sentences (§3.1.1 step 1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Abbreviations: their full stop does not end a sentence. Compared in lower case, without the last full stop.
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof sr jr st mt ft gen col capt lt sgt cmdr rev hon gov sen rep pres dept univ assn
    messrs mme mlle adm maj cpl supt atty esq msgr
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
    e.g eg i.e ie etc vs v cf al approx ca est min max avg incl excl resp esp viz
    no nos vol vols ch chap sec fig figs eq eqs ed eds pp par art ex op
    co corp inc ltd bros ave blvd rd hwy sq ln apt
    oz lb lbs tsp tbsp pt qt gal hr hrs mins secs yr yrs kg km cm mm in deg temp
    """.split()  # noqa: SIM905 - a list would take a page
)
# After these abbreviations a capital does start a sentence: "12 in. The board", "at 5 min. Then".
_UNITS = frozenset(
    "etc oz lb lbs tsp tbsp pt qt gal hr hrs min mins secs yr yrs kg km cm mm in inc ltd co corp".split()  # noqa: SIM905
)

_CLOSING = "\"'”’»)]}*_"
_OPENING = "\"'“‘«([{*_"
_ENDS = (".", "!", "?", "…", "。", "！", "？", "।")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")  # U.S   J   e.g   (the last full stop is already off)
_ITEM = re.compile(r"[-–—*•·‣▪◦]|\(?\d{1,3}[.)]")  # the first word of a line of a list
_HEADING = 12  # words; a longer paragraph is neither a heading nor a list item
# After initials only these words start a sentence, other capitals do not: "at 5 p.m. The", but "the U.S. Senate".
_STARTS = frozenset(
    """
    The This That These Those There It Its He His She Her They Their We Our You Your In On At By For From After Before
    During Since When While As If But And However Although Both Some Many Most One Other
    """.split()  # noqa: SIM905
)

Sentence = list[str]


def passages(text: str, words: int = 45, overlap: int = 0) -> list[str]:
    """Cut a text into passages of about `words` words: whole sentences of one paragraph (§3.1.1 step 1).

    Blank lines end paragraphs. A paragraph that ends in a colon, or a short one without end punctuation (a heading, a
    list item), is joined with the following one; each line of a list is a sentence. A paragraph of at most
    1.4 × `words` stays whole; in a longer one a new passage starts when the next sentence would take it past
    1.4 × `words`, so only a single sentence, with its heading, can be longer. A new passage starts with the last
    `overlap` sentences of the one before, as far as they fit. White space becomes single spaces; every word is kept,
    in order.
    """
    limit = 1.4 * words
    return [passage for block in _blocks(text, limit) for passage in _fill(block, limit, overlap)]


def sentences(words: list[str]) -> Iterator[Sentence]:
    """Split a paragraph's words into sentences; every word is kept, in order."""
    cased = any(word != word.lower() for word in words)
    start = 0
    for place in range(len(words) - 1):
        if _ends_sentence(words[place], words[place + 1], first=place == start, cased=cased):
            yield words[start : place + 1]
            start = place + 1
    if words:
        yield words[start:]


def _blocks(text: str, limit: float) -> Iterator[list[Sentence]]:
    """Group paragraphs into blocks of sentences: headings and list introductions go with their text."""
    block: list[Sentence] = []
    for lines in _paragraphs(text):
        found = list(_sentences(lines))
        last = found[-1][-1].rstrip(_CLOSING)
        leads = last.endswith(":")
        short = not leads and len(found) == 1 and len(found[0]) <= _HEADING and not last.endswith((*_ENDS, ",", ";"))
        # A heading stays with the first sentence after it; a list item need not stay with the next item.
        heads = block and (not short or block[-1][-1].endswith(":"))
        if heads and (len(block[-1]) <= _HEADING or len(block[-1]) + len(found[0]) <= limit):
            found[0] = block.pop() + found[0]
        block += found
        if not (leads or short):
            yield block
            block = []
    if block:
        yield block


def _paragraphs(text: str) -> Iterator[list[list[str]]]:
    """Split a text into non-empty paragraphs: lines of words."""
    lines: list[list[str]] = []
    for line in text.splitlines():
        found = line.split()
        if found:
            lines.append(found)
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


def _sentences(lines: list[list[str]]) -> Iterator[Sentence]:
    """Split a paragraph into sentences; list items and lines after a semicolon begin one."""
    words: list[str] = []
    for line in lines:
        if words and (words[-1].endswith(";") or (len(line) > 1 and _ITEM.fullmatch(line[0]))):
            yield from sentences(words)
            words = []
        words += line
    yield from sentences(words)


def _fill(block: list[Sentence], limit: float, overlap: int) -> Iterator[str]:
    """Greedily fill passages of at most `limit` words with a block's sentences."""
    passage: list[Sentence] = []
    size = 0
    for place, sentence in enumerate(block):
        if passage and size + len(sentence) > limit:
            yield _joined(passage)
            # At least one sentence less than the passage before, so that no passage holds another.
            first = max(place - overlap, place - len(passage) + 1)
            passage = block[first:place]
            while passage and sum(map(len, passage)) + len(sentence) > limit:
                passage = passage[1:]
            size = sum(map(len, passage))
        passage.append(sentence)
        size += len(sentence)
    yield _joined(passage)


def _joined(passage: list[Sentence]) -> str:
    return " ".join(word for sentence in passage for word in sentence)


def _ends_sentence(word: str, following: str, *, first: bool, cased: bool) -> bool:
    """True if a sentence ends after `word`; `first`: also begins with it, `cased`: the paragraph has capitals."""
    bare = word.rstrip(_CLOSING)
    if not bare.endswith(_ENDS):
        return False
    opening = following.lstrip(_OPENING)[:1]
    if cased and opening.islower():
        return False
    if not bare.endswith(".") or bare.endswith(".."):
        return True
    stem = bare[:-1].lstrip(_OPENING)
    if first and (stem.isdecimal() or len(stem) == 1):  # the "3." or "b." of a list
        return False
    if stem.lower() in _UNITS:
        return cased and opening.isupper()
    if stem.lower() in _ABBREVIATIONS:
        return False
    return _INITIALS.fullmatch(f"{stem}.") is None or stem == "I" or following.strip(_OPENING + ",") in _STARTS
