"""Passage extraction: document text → passages of whole sentences (§3.1.1 step 1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tmkd.data.words import count_words

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
# These are also words: abbreviations only before a number ("No. 5").
_WORDS = frozenset(("no", "art", "fig", "par", "ex", "sun", "sat"))
_SUFFIXES = frozenset(("jr", "sr", "al", "esq"))  # "Tom Neal, Jr. His wife"

_CLOSING = "\"'”’»)]}*_」』）》〉】〕"
_OPENING = "\"'“‘«([{*_「『（《〈【〔¿¡"
_UNSPACED_ENDS = "。！？｡।॥။។៕꧉"  # no space need follow, as in Chinese, Japanese, Hindi, Burmese, Khmer, Javanese
_ENDS = (".", "!", "?", "…", "؟", "۔", "։", "።", "፧", "།", "᠃", "．", *_UNSPACED_ENDS)
_COLONS = (":", "：")
_END = (
    f"[{_UNSPACED_ENDS}]+[{re.escape(_CLOSING)}]*(?=[^\\s{_UNSPACED_ENDS}{re.escape(_CLOSING)}])(?!ល។)"  # ។ល។ is etc.
)
_TOKEN = re.compile(rf"\S+?(?:{_END}|\s+|$)")
# Thai and Lao have no full stop.
_CLAUSE_SPACE = re.compile("[\u0e01-\u0e4e\u0e81-\u0edf] [\u0e01-\u0e4e\u0e81-\u0edf]")
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


def passages(text: str, words: int = 45, overlap: int = 0) -> list[str]:
    """Cut a text into passages of about `words` words: whole sentences of one paragraph (§3.1.1 step 1).

    Blank lines end paragraphs. A paragraph that ends in a colon, or a short one without end punctuation (a heading, a
    list item), is joined with the following one; each line of a list is a sentence. A paragraph of at most
    1.4 × `words` stays whole; in a longer one a new passage starts when the next sentence would take it past
    1.4 × `words`, so only a single sentence, with its heading, can be longer. A new passage starts with the last
    `overlap` sentences of the one before, as far as they fit. White space becomes single spaces; every word is kept,
    in order. Words are those of `count_words`, also in scripts without spaces.
    """
    limit = 1.4 * words
    return [passage for block in _blocks(text, limit) for passage in _fill(block, limit, overlap)]


def sentences(text: str) -> Iterator[str]:
    """Split a paragraph into sentences, each with the space after it: joined they are the paragraph.

    Chinese and Japanese need no space between sentences; Thai and Lao, without full stops, are split at spaces.
    """
    tokens = _TOKEN.findall(text)
    words = [token.strip() for token in tokens]
    cased = any(word != word.lower() for word in words)
    start = 0
    for place in range(len(words) - 1):
        if (
            tokens[place] == words[place]  # split after 。
            or _CLAUSE_SPACE.match(f"{words[place][-1]} {words[place + 1][0]}")
            or _ends_sentence(words[place], words[place + 1], first=place == start, cased=cased)
        ):
            yield "".join(tokens[start : place + 1])
            start = place + 1
    if words:
        yield "".join(tokens[start:])


def _blocks(text: str, limit: float) -> Iterator[list[str]]:
    """Group paragraphs into blocks of sentences: headings and list introductions go with their text."""
    block: list[str] = []
    for lines in _paragraphs(text):
        found = list(_sentences(lines))
        last = found[-1].rstrip().rstrip(_CLOSING)
        leads = last.endswith(_COLONS)
        short = not leads and len(found) == 1 and count_words(found[0]) <= _HEADING
        short = short and not last.endswith((*_ENDS, *",;，；、"))
        # A heading stays with the first sentence after it; a list item need not stay with the next item.
        heads = block and (not short or block[-1].rstrip().endswith(_COLONS))
        if heads:
            size = count_words(block[-1])
            if size <= _HEADING or size + count_words(found[0]) <= limit:
                found[0] = block.pop() + found[0]
        block += found
        if not (leads or short):
            yield block
            block = []
    if block:
        yield block


def _paragraphs(text: str) -> Iterator[list[str]]:
    """Split a text into non-empty paragraphs: lines with single spaces between words."""
    lines: list[str] = []
    for line in text.splitlines():
        found = " ".join(line.split())
        if found:
            lines.append(found)
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


def _sentences(lines: list[str]) -> Iterator[str]:
    """Split a paragraph into sentences, each with a space at its end where one belongs.

    List items and lines after a semicolon begin one.
    """
    pending: list[str] = []
    for line in lines:
        item, _, rest = line.partition(" ")
        if pending and (pending[-1].endswith((";", "；")) or (rest and _ITEM.fullmatch(item))):
            yield from sentences("".join(f"{part} " for part in pending))
            pending = []
        pending.append(line)
    yield from sentences("".join(f"{part} " for part in pending))


def _fill(block: list[str], limit: float, overlap: int) -> Iterator[str]:
    """Greedily fill passages of at most `limit` words with a block's sentences."""
    sizes = [count_words(sentence) for sentence in block]
    first = size = 0
    for place, its_size in enumerate(sizes):
        if place > first and size + its_size > limit:
            yield "".join(block[first:place]).rstrip()
            # At least one sentence less than the passage before, so that no passage holds another.
            first = max(place - overlap, first + 1)
            size = sum(sizes[first:place])
            while first < place and size + its_size > limit:
                size -= sizes[first]
                first += 1
        size += its_size
    yield "".join(block[first:]).rstrip()


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
    starts = following.strip(_OPENING + ",") in _STARTS
    if stem.lower() in _WORDS:
        return cased and opening.isupper()
    if stem.lower() in _ABBREVIATIONS:
        return starts and stem.lower() in _SUFFIXES
    if stem == "I":  # "So do I. You too", but "Charles I. D. Looff"
        return _INITIALS.fullmatch(f"{following.strip(_OPENING + ',.')}.") is None
    return _INITIALS.fullmatch(f"{stem}.") is None or starts
