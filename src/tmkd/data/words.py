"""Words of a text in any script: for comparison, for search and as a measure of length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

# Scripts written without spaces between words: Han, kana, bopomofo; Thai, Lao, Myanmar, Khmer, Tai, Balinese, Javanese.
_EAST = (
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U000323af"
)
_SOUTH_EAST = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u0e81-\u0edf\u1000-\u1049\u1050-\u109f\u1780-\u17d3\u17d7\u17dc-\u17e9"
    "\u1950-\u197f\u1980-\u19df\u1a20-\u1a9f\u1b00-\u1b59\ua980-\ua9c0\ua9cf-\ua9d9\ua9e0-\ua9fe\uaa60-\uaadd"
)
_EAST_PER_WORD, _SOUTH_EAST_PER_WORD = 2, 4  # characters with their marks
_SYLLABLE = re.compile("[\u0f40-\u0fbc]+")  # of Tibetan, between tshegs
_HANGUL = re.compile("[\uac00-\ud7a3]{3,}")
# Letters, digits, marks and symbols of `_plain` texts: all but ASCII punctuation.
_LETTER = r"\x00-/:-@\[-`{-\x7f"
_UNSPACED = f"{_EAST}{_SOUTH_EAST}"
_RUN = re.compile(f"[{_UNSPACED}]+")
_UNIT = re.compile(r"\w\W*")  # a letter with its marks, which \w does not match
_EAST_UNIT = re.compile(f"[{_EAST}]")
# A word with the signs that are part of it: c++, f#, 5%, -5, .5, $5, 1.5, 10:30, 5/8; or an operator.
_BODY = rf"[^{_LETTER}{_UNSPACED}]+(?:(?<=\d)[.,:/](?=\d)[^{_LETTER}{_UNSPACED}]+)*(?:\+{{1,2}}|(?<=[^\W\d])\#|%)?"
_WORD = re.compile(
    rf"{_BODY}|[{_UNSPACED}]+"
    rf"|(?=[-.$])(?:\$|(?<![^{_LETTER}])-(?=\.?\d))?(?:(?<![^{_LETTER}.])\.(?=\w))?{_BODY}"
    r"|(?=[-+*/<=>^])(?<![^\s\d])(?:[+*/<=>^]|(?<=\d)-|(?<=\d\s)-(?=\s*\d))(?![^\s\d])"
)
_SIGNED = re.compile(r"[$%+#*/<=>^]|[.,:'-](?=[.\d])|(?<![^\W_])(?<!\.)\.\w|\d\s*-")  # a text that may have such words
_BARE = re.compile(rf"[^{_LETTER}]+")
# Parts by which two texts differ: as in a word, and signs between digits (1.5, 2^3, 5 - 3, 1 5).
_DISTINCTIVE = re.compile(
    rf"[^{_LETTER}]+"
    rf"|(?<=\d)[^\w\x80-\U0010ffff]+(?=\d)|-(?<=\de-)(?=\d)"  # 1e-5
    r"|[$%+<=>~^&@]|!(?==)|\#(?<=[^\W\d_]\#)"
    r"|(?<!\S)[][{}/*|\\#_]{2,}(?!\S)"  # ||, {}, // standing alone, in questions on programs
    rf"|-(?<![^{_LETTER}]-)(?=\.?\d)|\.(?<![^{_LETTER}.]\.)(?=\w)"
    r"|[-*](?:(?<=\b[a-z].)|(?<=\bab.))(?![\w*-])"  # blood types, A*
)
_NO_SIGNS = b" ?,'\""  # never part of a word without digits
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:[,']\d{3})+(?!\d)")
_POINT = re.compile(r"(?<=\d)[.,](?=\d)")
_OPERATORS = re.compile(r"[^-+*/<=>^~%$]+")
_ORNAMENTS = frozenset("\u0640\u00a9\u00ae\u2122\u2117\u2120")  # tatweel, ©, ®, ™: nothing hangs on them
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]"
    "|(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0000-\U000e007f]+"  # tags, except of a flag
    # Joiners have a meaning in Arabic and Indic scripts, and in emoji, not in Latin, Greek, Cyrillic, Han or kana.
    "|(?<![\u0590-\u1cff\u2190-\u2bff\ua800-\uabff\ufb1d-\ufeff\U00010a00-\U00011fff\U0001e900-\U0001faff])"
    "[\u200c\u200d]+"
)
_FORMS = ("<wide>", "<narrow>", "<compat>", "<initial>", "<medial>", "<final>", "<isolated>")


def visible(text: str) -> str:
    """Remove soft hyphens, zero-width spaces, word joiners, byte order marks and direction marks.

    Zero-width joiners and non-joiners stay in the scripts and emoji where they have a meaning.
    """
    return text if text.isascii() else _INVISIBLE.sub("", text)


def normalised(text: str) -> str:
    """Normalise a text for comparison: lower case, without spaces, invisible characters and harmless punctuation.

    Letters, digits, marks and symbols stay, composed (NFC) and in one width; so do signs that distinguish words: c++
    and c#, 1.5 and 15, -5 and 5, 5 + 3 and 5 - 3. A point between digits is a space, as many data sets have it.
    """
    if text.isascii():  # a short cut for letters alone
        letters = text.encode().translate(None, _NO_SIGNS)
        if letters.isalpha():
            return letters.lower().decode()
    return "".join(map(_operators_or_space, _DISTINCTIVE.findall(_POINT.sub(" ", _plain(text)))))


def text_key(text: str) -> str:
    """Key under which two texts are treated as equal: `normalised`, or the text itself where nothing is left."""
    return normalised(text) or text


def words(text: str) -> list[str]:
    """Split a text into lower-case words in the form of `normalised`, each with the signs that are part of it.

    A run of a script without spaces gives the pairs of its neighbouring characters, each character with its marks.
    """
    if text.isascii() and not _SIGNED.search(text):
        return _BARE.findall(text.lower())
    found: list[str] = []
    for word in _WORD.findall(_plain(text)):
        found += _pairs(_UNIT.findall(word)) if _RUN.match(word) else [word]
    return found


def search_terms(text: str) -> list[str]:
    """Split a text into the terms of an index or a query: its `words`, and their parts without signs.

    A run of a script without spaces also gives its single characters, so that a word of one is found; in the alphabets
    of Thai and its neighbours only those with a mark, as letters alone are no words. A Korean word also gives the pairs
    of its neighbouring syllables: particles follow nouns without a space.
    """
    if text.isascii() and not _SIGNED.search(text):
        return _BARE.findall(text.lower())
    terms: list[str] = []
    for word in _WORD.findall(_plain(text)):
        if _RUN.match(word):
            units = _UNIT.findall(word)
            terms += [unit for unit in units if len(unit) > 1 or _EAST_UNIT.match(unit)]
            terms += _pairs(units) if len(units) > 1 else []
            continue
        parts = _BARE.findall(word)
        terms += parts
        if parts and parts != [word]:
            terms.append(word)
        for run in _HANGUL.findall(word):
            terms += _pairs(run)
    return terms


def count_words(text: str) -> int:
    """Number of words, by white space; in scripts without spaces from the number of characters with their marks.

    Two Han or kana characters count as a word, or four of Thai, Lao, Khmer, Burmese and their relatives, or two Tibetan
    syllables.
    """
    if text.isascii():
        return len(text.split())
    east = south_east = 0
    for run in _RUN.findall(text):
        own = len(_EAST_UNIT.findall(run))
        east += own
        south_east += len(_UNIT.findall(run)) - own
    syllables = len(_SYLLABLE.findall(text))
    if not east + south_east + syllables:
        return len(text.split())
    spaced = _SYLLABLE.sub(" ", _RUN.sub(" ", text))
    rest = sum(any(map(str.isalnum, piece)) for piece in spaced.split())  # punctuation is no word here
    return rest + -(-east // _EAST_PER_WORD) + -(-south_east // _SOUTH_EAST_PER_WORD) + -(-syllables // 2)


def _pairs(units: Sequence[str]) -> list[str]:
    return [one + other for one, other in pairwise(units)] or list(units)


def _operators_or_space(piece: str) -> str:
    """Reduce what stands between two digits to its operators, or to one space; other pieces stay."""
    return piece if piece.split() == [piece] else _OPERATORS.sub("", piece) or " "


def _plain(text: str) -> str:
    """Lower case in one width; punctuation beyond ASCII becomes "-" (dashes) or "'", invisible characters go."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", "".join(map(_folded, text)))
    lower = text.lower()
    if not lower.isascii():
        lower = lower.replace("i\u0307", "i")  # the Turkish capital İ
    return _THOUSANDS.sub(lambda number: re.sub("[,']", "", number[0]), lower)


@lru_cache(maxsize=1 << 16)
def _folded(char: str) -> str:
    """Fold a character's width and form (full-width letters, ligatures), and simplify what is no letter or mark."""
    if char.isascii():
        return char
    category = unicodedata.category(char)
    if char == "\u2212" or category == "Pd":
        return "-"
    if char in _ORNAMENTS or category in ("Cf", "Cc", "Cs", "Co") or _VARIATION_SELECTORS.match(char):
        return ""
    if category[0] == "Z":
        return " "
    if category == "Sk" and char < "\u0400":  # accents alone, used as apostrophes
        return "'"
    if unicodedata.decomposition(char).startswith(_FORMS):
        return unicodedata.normalize("NFKC", char)
    if category[0] == "P":
        return char if char in "\u2030\u2031" else "." if char == "\u3002" else "'"
    return f" {char} " if category in ("So", "Sc", "Sm") else char
