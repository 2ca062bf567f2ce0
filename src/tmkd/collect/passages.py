"""A document's text → passages of whole sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Words that end in a full stop without ending a sentence; compared in lower case, without the last full stop.
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof sr jr st mt ft gen col capt lt sgt cmdr rev hon gov sen rep pres dept univ assn
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
    e.g eg i.e ie etc vs v cf al approx ca est min max avg incl excl resp esp viz
    no nos vol vols ch chap sec fig figs eq eqs ed eds pp par art ex op
    co corp inc ltd bros ave blvd rd hwy sq ln apt
    oz lb lbs tsp tbsp pt qt gal hr hrs mins secs yr yrs kg km cm mm in deg temp
    """.split()  # noqa: SIM905 - a list would take a page
)
# Of these a following capital still says that the sentence is over: "12 in. The board", "at 5 min. Then".
_UNITS = frozenset(
    "etc oz lb lbs tsp tbsp pt qt gal hr hrs min mins secs yr yrs kg km cm mm in inc ltd co corp".split()  # noqa: SIM905
)

_CLOSING = "\"'”’»)]}*_"
_OPENING = "\"'“‘«([{*_"
_ENDS = (".", "!", "?", "…", "。", "！", "？", "।")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")  # U.S   J   e.g   (the last full stop is already off)


def passages(text: str, words: int = 45) -> list[str]:
    """Cut a text into passages of about `words` words: whole sentences of one paragraph (§3.1.1 step 1).

    Blank lines end paragraphs. A paragraph of at most 1.4 × `words` stays whole; in a longer one a new passage starts
    when the next sentence would take it past 1.4 × `words`, so only a single longer sentence is longer. White space
    becomes single spaces; every word is kept, in order.
    """
    limit = 1.4 * words
    return [passage for paragraph in _paragraphs(text) for passage in _fill(paragraph, limit)]


def sentences(words: list[str]) -> Iterator[list[str]]:
    """Group a paragraph's words into its sentences; no word is lost or moved."""
    cased = any(word != word.lower() for word in words)
    start = 0
    for place in range(len(words) - 1):
        if _ends(words[place], words[place + 1], first=place == start, cased=cased):
            yield words[start : place + 1]
            start = place + 1
    if words:
        yield words[start:]


def _paragraphs(text: str) -> Iterator[list[str]]:
    """The words of each paragraph that has any."""
    words: list[str] = []
    for line in text.splitlines():
        found = line.split()
        if not found and words:
            yield words
            words = []
        words.extend(found)
    if words:
        yield words


def _fill(paragraph: list[str], limit: float) -> Iterator[str]:
    """Greedily fill passages of at most `limit` words with a paragraph's sentences."""
    if len(paragraph) <= limit:
        yield " ".join(paragraph)
        return
    passage: list[str] = []
    for sentence in sentences(paragraph):
        if passage and len(passage) + len(sentence) > limit:
            yield " ".join(passage)
            passage = []
        passage = passage + sentence
    yield " ".join(passage)


def _ends(word: str, following: str, *, first: bool, cased: bool) -> bool:
    """Whether a sentence ends after `word`; `first` if it starts with it, `cased` if the paragraph has capitals."""
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
    return not (stem.lower() in _ABBREVIATIONS or (_INITIALS.fullmatch(f"{stem}.") is not None and stem != "I"))
