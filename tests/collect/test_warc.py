from __future__ import annotations

import gzip
import random
import sys
import zlib
from collections import Counter
from pathlib import Path

import brotli
import pytest

from tmkd.collect import warc
from tmkd.collect.warc import Response, read_warc
from tmkd.errors import TmkdError

BODY = (
    b"<html><body>" + b"<p>A page of some length, so that things can break inside of it.</p>" * 30 + b"</body></html>"
)


def record(
    url: str,
    body: bytes = BODY,
    *,
    kind: str = "response",
    status: str = "200 OK",
    content: str = "text/html; charset=utf-8",
    more: str = "",
    wrong: int = 0,
    version: str = "1.0",
) -> bytes:
    """A record; `more` are further HTTP headers, `wrong` is added to its true Content-Length."""
    block = f"HTTP/1.1 {status}\r\nContent-Type: {content}\r\n{more}\r\n".encode() + body
    head = f"WARC/{version}\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Type: application/http\r\n"
    return f"{head}Content-Length: {len(block) + wrong}\r\n\r\n".encode() + block + b"\r\n\r\n"


def read(folder: Path, content: bytes, name: str = "x.warc") -> tuple[list[Response], dict[str, int]]:
    (folder / name).write_bytes(content)
    drop_counts: Counter[str] = Counter()
    return list(read_warc(folder / name, drop_counts)), dict(drop_counts)


FOUR = [record(f"http://a.example/{number}") for number in range(4)]
ZIPPED = [gzip.compress(one, mtime=0) for one in FOUR]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


def test_pages_come_in_order_with_url_bytes_and_charset(tmp_path: Path) -> None:
    found, drop_counts = read(tmp_path, FOUR[0] + record("<http://a.example/é>", b"<p>x", version="1.1"))
    assert found == [
        Response("http://a.example/0", BODY, "utf-8"),
        Response("http://a.example/é", b"<p>x", "utf-8"),
    ]
    assert drop_counts == {}


@pytest.mark.parametrize("name", ["WARC-Type", "Content-Length", "WARC-Target-URI", "Content-Type"])
def test_names_in_a_header_have_any_case(tmp_path: Path, name: str) -> None:
    for other in (name.lower(), name.upper()):
        content = FOUR[0].replace(f"{name}:".encode(), f"{other}:".encode(), 1)
        assert read(tmp_path, content) == ([Response("http://a.example/0", BODY, "utf-8")], {})


def test_only_html_answered_with_200_is_taken(tmp_path: Path) -> None:
    info = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n"
    resource = (
        b"WARC/1.0\r\nWARC-Type: resource\r\nWARC-Target-URI: file:x\r\nContent-Type: text/html\r\n"
        b"Content-Length: 4\r\n\r\n<p>r\r\n\r\n"
    )
    others = [
        info,
        record("u", kind="request"),
        record("u", status="404 Not Found"),
        record("u", content="image/png"),
        record("u", content="application/xhtml+xml"),
        record(""),
        resource,
    ]
    found, drop_counts = read(tmp_path, b"".join(others))
    assert [one.content for one in found] == [BODY, b"<p>r"]
    assert drop_counts == {"status not 200": 1, "not HTML": 1, "no url": 1}


@pytest.mark.parametrize("length", [2_000, 2_001, 10_000])
def test_urls_of_up_to_2000_characters_are_kept(tmp_path: Path, length: int) -> None:
    url = "http://a.example/".ljust(length, "x")
    found, drop_counts = read(tmp_path, record(url) + FOUR[1])
    assert [one.url for one in found] == [url, "http://a.example/1"][length > 2_000 :]
    assert drop_counts == ({"url too long": 1} if length > 2_000 else {})


@pytest.mark.parametrize(
    ("content", "kept", "reason"),
    [
        pytest.param(b"".join(ZIPPED), "0123", None, id="a member to a record"),
        pytest.param(gzip.compress(b"".join(FOUR)), "0123", None, id="one member for all"),
        pytest.param(b"".join(ZIPPED) + bytes(512), "0123", None, id="padding"),
        pytest.param(b"".join(ZIPPED)[:-40], "012", "truncated", id="truncated at the end"),
        pytest.param(ZIPPED[0] + ZIPPED[1][:60] + b"".join(ZIPPED[2:]), "023", "damaged", id="truncated in the middle"),
        pytest.param(ZIPPED[0] + ZIPPED[1][:-9] + b"".join(ZIPPED[2:]), "023", "damaged", id="without its checksum"),
        pytest.param(ZIPPED[0] + flipped(ZIPPED[1], 70) + b"".join(ZIPPED[2:]), "023", "damaged", id="flipped"),
        pytest.param(ZIPPED[0] + flipped(ZIPPED[1], -5) + b"".join(ZIPPED[2:]), "023", "damaged", id="wrong checksum"),
        pytest.param(
            ZIPPED[0] + b"rubbish" * 99 + b"".join(ZIPPED[1:]), "0123", "garbage between records", id="rubbish between"
        ),
        pytest.param(
            ZIPPED[0] + gzip.compress(b"rubbish\r\n") + b"".join(ZIPPED[1:]),
            "0123",
            "garbage between records",
            id="a member of rubbish",
        ),
    ],
)
def test_a_broken_gzip_member_loses_only_itself(tmp_path: Path, content: bytes, kept: str, reason: str | None) -> None:
    found, drop_counts = read(tmp_path, content, "x.warc.gz")
    assert "".join(one.url[-1] for one in found) == kept
    assert all(one.content == BODY for one in found)
    assert drop_counts == ({reason: 1} if reason else {})


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("wrong", "reasons"),
    [
        (100, {"wrong length", "truncated"}),
        (-100, {"wrong length"}),
        (10**12, {"too large"}),
        (5 * len(BODY), {"wrong length", "truncated"}),
    ],
)
def test_a_wrong_content_length_loses_no_other_record(
    tmp_path: Path, zipped: bool, wrong: int, reasons: set[str]
) -> None:
    parts = [FOUR[0], record("http://a.example/1", wrong=wrong), *FOUR[2:]]
    found, drop_counts = read(tmp_path, b"".join(gzip.compress(part) if zipped else part for part in parts))
    assert [one.url[-1] for one in found] == ["0", "2", "3"]
    assert sum(drop_counts.values()) == 1
    assert set(drop_counts) <= reasons


@pytest.mark.parametrize(
    ("content", "kept", "reason"),
    [
        (FOUR[0] + b"rubbish\n\0\1" * 30 + FOUR[1], "01", "garbage between records"),
        (FOUR[0] + FOUR[1].replace(b"Content-Length: ", b"Content-Length: x") + FOUR[2], "02", "bad header"),
        (FOUR[0] + FOUR[1].replace(b"Content-Length", b"Content-Size") + FOUR[2], "02", "bad header"),
        (FOUR[0] + FOUR[1][:-300], "0", "truncated"),
        (FOUR[0] + FOUR[1][:60], "0", "truncated"),
        (b"no archive at all\n" * 9_000, "", "garbage between records"),
        (b"", "", None),
    ],
)
def test_a_broken_record_loses_only_itself(tmp_path: Path, content: bytes, kept: str, reason: str | None) -> None:
    found, drop_counts = read(tmp_path, content)
    assert "".join(one.url[-1] for one in found) == kept
    assert drop_counts == ({reason: 1} if reason else {})


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (gzip.compress(BODY), "Content-Encoding: gzip\r\n"),
        (zlib.compress(BODY), "Content-Encoding: deflate\r\n"),
        (zlib.compress(BODY, wbits=-15), "Content-Encoding: deflate\r\n"),
        (brotli.compress(BODY), "Content-Encoding: br\r\n"),
        (b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), "Transfer-Encoding: chunked\r\n"),
        (BODY, "Content-Encoding: gzip\r\n"),  # as crawlers do that unpack, yet keep the header
        (BODY, "Transfer-Encoding: chunked\r\n"),
        (BODY, "Content-Encoding: something\r\n"),
    ],
)
def test_encodings_are_undone_where_they_are_real(tmp_path: Path, body: bytes, more: str) -> None:
    found, drop_counts = read(tmp_path, record("u", body, more=more))
    assert [one.content for one in found] == [BODY]
    assert drop_counts == {}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_small_record_that_unpacks_to_much_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}[encoding]
    bomb = record("u", pack(bytes(300_000)), more=f"Content-Encoding: {encoding}\r\n")
    monkeypatch.setattr(warc, "MAX_HTML_BYTES", 200_000)
    found, drop_counts = read(tmp_path, bomb + FOUR[1])
    assert [one.url[-1] for one in found] == ["1"]
    assert drop_counts == {"too large": 1}


def test_records_larger_than_a_page_are_passed_over_and_counted_if_html(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warc, "MAX_HTML_BYTES", 200_000)
    large = bytes(500_000)
    found, drop_counts = read(tmp_path, record("u", large) + record("u", large, content="video/mp4") + FOUR[1])
    assert [one.url[-1] for one in found] == ["1"]
    assert drop_counts == {"too large": 1}


def test_a_plain_file_named_gz_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"x\.warc\.gz: not a gzip file; .* name it without \.gz"):
        read(tmp_path, FOUR[0], "x.warc.gz")


def test_without_fastwarc_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastwarc.warc", None)
    with pytest.raises(TmkdError, match=r"pip install 'tmkd\[collect\]'"):
        read(tmp_path, FOUR[0])


@pytest.mark.parametrize("zipped", [False, True])
def test_whatever_bytes_are_changed_the_records_after_them_are_found(tmp_path: Path, zipped: bool) -> None:
    chance = random.Random(1)
    whole = ZIPPED if zipped else FOUR
    for _ in range(150):
        bad = bytearray(whole[1])
        for _ in range(chance.randint(1, 6)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        found, drop_counts = read(tmp_path, whole[0] + bytes(bad) + whole[2] + whole[3])
        assert [one.url[-1] for one in found if one.content == BODY][-2:] == ["2", "3"], (bytes(bad), drop_counts)
