"""Charset detection: the bytes of a web page → text, also where the declared charset is wrong."""

from __future__ import annotations

import codecs
import re

_MAX_UNREADABLE = 0.01  # share of control and replacement characters above which the content is binary
_MAX_UNDECODABLE = 0.1  # share of undecodable bytes among those beyond ASCII above which the charset is rejected
_SAMPLE_BYTES = 50_000  # bytes given to charset_normalizer
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_STATEFUL = ("iso2022", "hz", "utf16", "utf32")  # their bytes may happen to be valid UTF-8
# Browsers read pages declared as ISO 8859-1 as Windows-1252 (WHATWG Encoding, §4.2).
_WEB_ALIASES = {"iso8859-1": "cp1252", "ascii": "cp1252"}
_NOT_ON_THE_WEB = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "unicode_escape", "utf-7")
_BEYOND_ASCII = re.compile(b"[\x80-\xff]+")
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd\ufffe\uffff]")


def decode(content: bytes, charset: str | None = None) -> str | None:
    """Decode a page: by its byte order mark, as UTF-8 if valid, by the declared charset, or by a guess, in this order.

    `charset` is the server's declaration; the page's own <meta> comes second. Valid UTF-8 wins over both. None for
    binary content.
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
    # No charset fits throughout, as in truncated or concatenated pages: take the first with the fewest errors.
    tried = [content.decode(name, "replace") for name in (*filter(None, declared), "utf-8")]
    best = min(tried, key=lambda text: text.count("\ufffd"))
    wrong = best.count("\ufffd") > _MAX_UNDECODABLE * sum(map(len, _BEYOND_ASCII.findall(content)))
    return _guessed(content) if wrong else _readable(best)


def _codec(name: str) -> str:
    """Python's name of a text encoding; "" for unknown names and other codecs."""
    try:
        known = codecs.lookup(name.strip(" \"'"))
    except (LookupError, ValueError):
        return ""
    # Python also lists rot13, zlib and other codecs, and text encodings that no web page uses.
    text = getattr(known, "_is_text_encoding", True) and known.name not in _NOT_ON_THE_WEB
    return _WEB_ALIASES.get(known.name, known.name) if text else ""


def _guessed(content: bytes) -> str | None:
    from charset_normalizer import from_bytes

    first = _BEYOND_ASCII.search(content)
    start = max(first.start() - _SAMPLE_BYTES // 2, 0) if first else 0
    names = [match.encoding for match in from_bytes(content[start : start + _SAMPLE_BYTES])]
    # Several old charsets agree on Western European letters; Windows-1252 is the one common on the web.
    name = "cp1252" if "cp1252" in names else next(iter(names), None)
    return None if name is None else _readable(content.decode(name, "replace"))


def _readable(text: str) -> str | None:
    """Remove control and replacement characters; None if there are too many of them."""
    clean, damaged = _UNREADABLE.subn("", text)
    return clean if damaged <= _MAX_UNREADABLE * len(text) else None
