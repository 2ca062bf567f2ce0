"""Bytes that a server sent as text → text, whatever charset it said they are in."""

from __future__ import annotations

import codecs
import re

_DAMAGED = 0.01  # share of unreadable characters from which bytes are no text
_WRONG = 0.1  # share of the bytes beyond ASCII that are faults of a charset, from which it is another one
_SAMPLE = 50_000  # bytes by which an undeclared charset is guessed
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_STATEFUL = ("iso2022", "hz", "utf16", "utf32")  # their bytes can pass for UTF-8 without being it
# What is declared as ISO 8859-1 is Windows-1252 for every browser (WHATWG Encoding, §4.2).
_READ_AS = {"iso8859-1": "cp1252", "ascii": "cp1252"}
_NOT_SENT = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "unicode_escape", "utf-7")
_BEYOND_ASCII = re.compile(b"[\x80-\xff]+")
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd\ufffe\uffff]")


def decode(content: bytes, charset: str | None = None) -> str | None:
    """Bytes → text by their mark, as UTF-8 if they are that, as declared by the server or the page, or as it looks.

    Bytes beyond ASCII that are valid UTF-8 are UTF-8, whatever was declared. None when they seem to be no text.
    """
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return _readable(content.decode(name, "replace"))
    found = _META_CHARSET.search(content[:4096])
    declared = [_codec(name) for name in (charset, found and found[1].decode("ascii")) if name]
    stateful = [name for name in declared if name.replace("_", "").replace("-", "").startswith(_STATEFUL)]
    for name in (*stateful, "utf-8", *declared):
        try:
            return _readable(content.decode(name))
        except (ValueError, LookupError):
            continue
    # A page cut off or put together from two: mostly one charset. The first of those with the fewest faults.
    tried = [content.decode(name, "replace") for name in (*filter(None, declared), "utf-8")]
    best = min(tried, key=lambda text: text.count("\ufffd"))
    wrong = best.count("\ufffd") > _WRONG * sum(map(len, _BEYOND_ASCII.findall(content)))
    return _guessed(content) if wrong else _readable(best)


def _codec(name: str) -> str:
    """Python's name of a text encoding, "" for what is none."""
    try:
        known = codecs.lookup(name.strip(" \"'"))
    except (LookupError, ValueError):
        return ""
    # rot13, zlib and the like are codecs too, and some text encodings are for no web pages.
    text = getattr(known, "_is_text_encoding", True) and known.name not in _NOT_SENT
    return _READ_AS.get(known.name, known.name) if text else ""


def _guessed(content: bytes) -> str | None:
    from charset_normalizer import from_bytes

    first = _BEYOND_ASCII.search(content)
    start = max(first.start() - _SAMPLE // 2, 0) if first else 0
    names = [match.encoding for match in from_bytes(content[start : start + _SAMPLE])]
    # In Western Europe's letters several old charsets are alike; this one is the web's.
    name = "cp1252" if "cp1252" in names else next(iter(names), None)
    return None if name is None else _readable(content.decode(name, "replace"))


def _readable(text: str) -> str | None:
    """The text without characters that mean nothing; None if they are too many."""
    clean, damaged = _UNREADABLE.subn("", text)
    return clean if damaged <= _DAMAGED * len(text) else None
