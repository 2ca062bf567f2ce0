from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.collect.charset import declared_charset, decode
from tmkd.errors import TmkdError

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 20
FRENCH = "Voilà l’été où les élèves naïfs dînent à Nîmes. " * 20


@pytest.mark.parametrize(
    "meta",
    [
        '<!-- <meta charset="iso-8859-1"> --><meta charset="windows-1251">',
        '<meta name="description" content="on charset=koi8-r"><meta charset=windows-1251 />',
        "<META content='text/html;charset = windows-1251' http-equiv=Content-Type>",
        '<meta name="a"\n data-charset="koi8-r"><meta http-equiv="content-type" content="text/html; charset=cp1251">',
    ],
)
def test_a_page_declares_its_charset_in_a_meta_of_that_kind_alone(meta: str) -> None:
    page = f"{meta}<p>{RUSSIAN}"
    assert decode(page.encode("cp1251")) == page


@pytest.mark.parametrize(
    ("content", "declared", "text"),
    [
        (FRENCH.encode(), "iso-8859-1", FRENCH),  # valid UTF-8 is UTF-8, whatever is declared
        (FRENCH.encode("cp1252"), "iso-8859-1", FRENCH),  # as browsers read it
        (FRENCH.encode("cp1252"), "utf-8", FRENCH),  # declared wrongly
        (RUSSIAN.encode("cp1251"), '"windows-1251"', RUSSIAN),
        (RUSSIAN.encode("koi8-r"), None, RUSSIAN),
        (b'<meta charset="koi8-r">' + RUSSIAN.encode("koi8-r"), None, f'<meta charset="koi8-r">{RUSSIAN}'),
        (b'<meta charset="koi8-r">' + RUSSIAN.encode("cp1251"), "cp1251", f'<meta charset="koi8-r">{RUSSIAN}'),
        ("朱镕与陶喆".encode("gbk"), "gb2312", "朱镕与陶喆"),
        ("①㈱髙 ｱ".encode("cp932"), "Shift_JIS", "①㈱髙 ｱ"),
        ("①㈱髙".encode("cp932"), "x-sjis", "①㈱髙"),
        ("똠방각하".encode("cp949"), "euc-kr", "똠방각하"),
        ("똠방각하".encode("cp949"), "ks_c_5601-1987", "똠방각하"),
        ("嘅咗".encode("big5hkscs"), "big5", "嘅咗"),
        ("①です".encode("euc_jis_2004"), "euc-jp", "①です"),
        ("“it’s” €".encode("cp1252"), "latin1", "“it’s” €"),
        ("“it’s” €".encode("cp1252"), "us-ascii", "“it’s” €"),
        ("Işığı “ö”".encode("cp1254"), "iso-8859-9", "Işığı “ö”"),
        ("ภาษา “ไทย”".encode("cp874"), "tis-620", "ภาษา “ไทย”"),
        ("שלום".encode("cp1255"), "iso-8859-8-i", "שלום"),
        ("日本語の文ｱ".encode("iso2022_jp_ext"), "iso-2022-jp", "日本語の文ｱ"),
        ("~{<:Ky2;NpJ)~}".encode("ascii"), "hz-gb-2312", "己所不勿施"),
        (
            b'<?xml version="1.0" encoding="gb2312"?>' + "朱镕".encode("gbk"),
            None,
            '<?xml version="1.0" encoding="gb2312"?>朱镕',
        ),
        (b'<meta charset="utf-16">plain', None, '<meta charset="utf-16">plain'),
        (b"<p>plain", "utf-16le", "<p>plain"),
        ("<p>東京".encode(), "utf-16", "<p>東京"),
        ("①㈱".encode("cp932"), "shiftjis", "①㈱"),  # a name of Python's for the same
        (f"naïve {'tea ' * 50}é".encode()[:-1], "utf-8", f"naïve {'tea ' * 50}"),  # cut off
        (b"\xff\xfe" + FRENCH.encode("utf-16-le"), "gb2312", FRENCH),
        (FRENCH.encode("utf-16"), None, FRENCH),
        (FRENCH.encode("utf-16-le"), "utf-16le", FRENCH),
        ("日本語の文".encode("iso2022_jp"), "ISO-2022-JP", "日本語の文"),
        (b"\xef\xbb\xbfmarked", "cp1251", "marked"),
        (b"plain", "no such charset", "plain"),
        (b"plain", "rot13", "plain"),
        (b"plain", "\0", "plain"),
        (b"", None, ""),
    ],
)
def test_a_text_is_read_whatever_was_declared(content: bytes, declared: str | None, text: str) -> None:
    assert decode(content, declared) == text


@pytest.mark.parametrize(
    ("header", "label"),
    [
        ("text/html; charset=gb2312", "gb2312"),
        ('text/html;Charset = "Shift_JIS" ; x=y', "Shift_JIS"),
        ("text/html; charset='x-sjis'", "x-sjis"),
        ("text/html", None),
    ],
)
def test_the_label_of_a_header_is_found(header: str, label: str | None) -> None:
    assert declared_charset(header) == label


def test_without_webencodings_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webencodings", None)
    with pytest.raises(TmkdError, match=r"webencodings: pip install 'tmkd\[collect\]'"):
        decode(b"text", "gb2312")


def test_a_cut_off_character_and_a_few_nul_bytes_do_not_spoil_a_page() -> None:
    assert (
        decode(FRENCH.encode()[:1] + b"\0" + FRENCH.encode()[1:-30] + "é".encode()[:1])
        == FRENCH.encode()[:-30].decode()
    )


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
        bytes(2_000),
        b"\x7fELF" + bytes(range(0, 256, 3)) * 50,
    ],
)
def test_binary_content_is_no_text(content: bytes) -> None:
    assert decode(content, "utf-8") is None
    assert decode(content, "iso-8859-1") is None


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "cp1252", "utf-16", "idna", "punycode", "hz"]))
def test_any_bytes_give_clean_text_or_none(content: bytes, declared: str | None) -> None:
    text = decode(content, declared)
    assert text is None or not {"\0", "\ufffd"} & set(text)
