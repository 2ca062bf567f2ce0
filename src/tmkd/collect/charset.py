"""Charset detection: the bytes of a web page → text, also where the declared charset is wrong."""

from __future__ import annotations

import codecs
import re

from tmkd.errors import optional_import

_MAX_UNREADABLE = 0.01  # share of control and replacement characters above which the content is binary
_MAX_UNDECODABLE = 0.1  # share of undecodable bytes among those beyond ASCII above which the charset is rejected
_SAMPLE_BYTES = 50_000  # bytes given to charset_normalizer
_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s;\"',]{1,40})", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"\s*<\?xml[^>]{0,100}?\sencoding\s*=\s*[\"']\s*([\w.:-]{1,40})")
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"<meta[\s/][^>]{1,500}", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([\w-]+)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'>]+)")
_STATEFUL = ("iso2022", "hz", "utf16", "utf32")  # their bytes may happen to be valid UTF-8
# Python's codecs that are nearer to WHATWG's decoders: gbk is read as its superset, and the last two where a page has
# characters of vendors (①) or half-width kana that the first one lacks.
_SUPERSETS = {"gbk": ("gb18030",), "euc_jp": ("euc_jp", "euc_jis_2004"), "iso2022_jp": ("iso2022_jp", "iso2022_jp_ext")}
_NOT_ON_THE_WEB = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "unicode_escape", "utf-7")
_BEYOND_ASCII = re.compile(b"[\x80-\xff]+")
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd\ufffe\uffff]")


def decode(content: bytes, charset: str | None = None) -> str | None:
    """Decode a page: by its byte order mark, as UTF-8 if valid, by the declared charset, or by a guess, in this order.

    `charset` is the label in the server's declaration; those of the page's own XML declaration and <meta> come after
    it. Labels mean what they mean to browsers (WHATWG Encoding, §4.2): gb2312 is GBK, shift_jis is Windows-31J,
    iso-8859-1 is Windows-1252. Valid UTF-8 wins over all. None for binary content.
    Raises: TmkdError when webencodings is not installed.
    """
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return _readable(content.decode(name, "replace"))
    declared = _codecs(charset or "")
    xml = _XML_CHARSET.match(content[:4096])
    # A page whose declaration can be read byte by byte is not in UTF-16.
    own = [*_codecs(xml[1].decode("ascii") if xml else ""), *_codecs(_meta_charset(content[:4096]))]
    declared += [name for name in own if not name.startswith("utf-16")]
    if b"\0" not in content:  # nor is one without any NUL: half of a tag's bytes are
        declared = [name for name in declared if not name.startswith(("utf-16", "utf-32"))]
    stateful = [name for name in declared if name.replace("_", "").replace("-", "").startswith(_STATEFUL)]
    for name in (*stateful, "utf-8", *declared):
        try:
            return _readable(content.decode(name))
        except (ValueError, LookupError):
            continue
    # No charset fits throughout, as in truncated or concatenated pages: take the first with the fewest errors.
    tried = [content.decode(name, "replace") for name in (*declared, "utf-8")]
    best = min(tried, key=lambda text: text.count("\ufffd"))
    wrong = best.count("\ufffd") > _MAX_UNDECODABLE * sum(map(len, _BEYOND_ASCII.findall(content)))
    if best == tried[-1]:  # in UTF-8 a character of several bytes is no accident
        wrong = wrong and 2 * best.count("\ufffd") > sum(character > "\x7f" for character in best)
    return _guessed(content) if wrong else _readable(best)


def declared_charset(content_type: str) -> str | None:
    """Label of the charset in a Content-Type header; None without one."""
    found = _HEADER_CHARSET.search(content_type)
    return found[1] if found else None


def _meta_charset(start: bytes) -> str:
    """Label that a <meta> declares, by its charset or by its content in place of a header; "" without one."""
    for meta in _META.findall(_COMMENT.sub(b"", start)):
        found = _ATTRIBUTE.findall(meta.decode("latin-1"))
        given = {name.lower(): value.strip("\"' \t\r\n") for name, value in found}
        kind = next((given[name] for name in ("http-equiv", "name", "property") if name in given), "content-type")
        header = given.get("content", "") if kind.lower() == "content-type" else ""
        if label := given.get("charset") or declared_charset(header):
            return label
    return ""


def _codecs(label: str) -> list[str]:
    """Names of Python's text encodings to try for a label; none for an unknown label."""
    with optional_import("reading HTML needs", "webencodings"):
        import webencodings
    label = label.strip(" \"'\t\r\n")
    try:
        known = codecs.lookup(label)
    except (LookupError, ValueError):
        known = None
    # Python has more names of the same encodings, such as shiftjis and latin-1.
    web = webencodings.lookup(label) or webencodings.lookup(known.name if known else "")
    if web is not None and web.name not in ("replacement", "x-user-defined"):
        name = web.codec_info.name
        return list(_SUPERSETS.get(name, (name,)))
    if known is None:
        return []
    # Python also lists rot13, zlib and other codecs, and text encodings that no web page uses.
    text = getattr(known, "_is_text_encoding", True) and known.name not in _NOT_ON_THE_WEB
    return [known.name] if text else []


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
