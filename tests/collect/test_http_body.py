from __future__ import annotations

import gzip
import zlib

import brotli
import fastwarc.stream_io
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.collect.http_body import decode_body

BODY = b"<html><body><p>A page about rivers, hills and weather.</p></body></html>"
LIMIT = 1000


def decoded(content: bytes, transfer: str = "", encoding: str = "") -> bytes:
    return decode_body(content, [transfer], [encoding], LIMIT, fastwarc.stream_io)


def chunked(body: bytes, size: int = 20, extension: bytes = b"", trailer: bytes = b"", end: bytes = b"\r\n") -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    lines = [b"%X%b%b%b%b" % (len(piece), extension, end, piece, end) for piece in pieces]
    return b"".join(lines) + b"0" + extension + end + trailer + end


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


def small_window(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=9)  # a zlib header other than 78
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    "content",
    [
        chunked(BODY),
        chunked(BODY, extension=b";sig=1"),
        chunked(BODY, extension=b' ; a="b, c";d'),
        chunked(BODY, trailer=b"Digest: x\r\nExpires: never\r\n"),
        chunked(BODY, extension=b"  "),
        chunked(BODY, end=b"\n"),
        chunked(BODY)[:-7],  # without the last chunk
        b"000" + chunked(BODY),
        BODY,  # declared as chunked, but stored without chunks
    ],
)
def test_chunks_are_joined_without_extensions_and_trailers(content: bytes) -> None:
    assert decoded(content, "chunked") == BODY


def test_a_body_cut_off_inside_a_chunk_is_read_so_far() -> None:
    assert decoded(chunked(BODY)[:35], "Chunked") == BODY[:25]


@pytest.mark.parametrize(
    ("content", "transfer", "encoding"),
    [
        (gzip.compress(BODY), "", "gzip"),
        (gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), "", "X-GZip"),
        (zlib.compress(BODY), "", "deflate"),
        (raw_deflate(BODY), "", "deflate"),
        (small_window(BODY), "", "deflate"),
        (brotli.compress(BODY), "", "br"),
        (gzip.compress(zlib.compress(BODY)), "", "deflate, gzip"),
        (brotli.compress(gzip.compress(BODY)), "", "gzip,identity , br"),
        (chunked(gzip.compress(BODY), extension=b";x"), "gzip, chunked", ""),
        (chunked(gzip.compress(BODY), extension=b";x"), "chunked", "gzip"),
        (chunked(gzip.compress(brotli.compress(BODY))), "gzip;q=1, chunked", "br"),
        (BODY, "identity", "none, gzip"),
        (BODY, "", "deflate"),
        (BODY, "", "br"),
    ],
)
def test_codings_are_undone_from_the_last_to_the_first(content: bytes, transfer: str, encoding: str) -> None:
    assert decoded(content, transfer, encoding) == BODY


def test_zstandard_is_read() -> None:
    import io

    packed = io.BytesIO()
    writer = fastwarc.stream_io.ZstdWriter(packed)
    writer.write(BODY)
    writer.close()
    assert decoded(packed.getvalue(), "", "zstd") == BODY


@pytest.mark.parametrize("encoding", ["", "br", "deflate", "gzip", "utf-8"])
def test_gzip_is_undone_whatever_is_declared(encoding: str) -> None:
    content = gzip.compress(BODY)
    assert decoded(gzip.compress(content) if encoding == "gzip" else content, "", encoding) == BODY


def test_chunks_are_joined_where_no_header_tells_of_them() -> None:
    assert decoded(chunked(BODY, 7, b""), "") == BODY
    assert decoded(chunked(gzip.compress(BODY), 7, b""), "", "gzip") == BODY
    for other in (b"5\r\nhello", b"0\r\n\r\n", b"2\r\nhello\r\n0\r\n\r\n", b"<p>5\r\nhello\r\n0\r\n\r\n"):
        assert decoded(other, "") == other


def test_two_bytes_of_gzip_alone_stay() -> None:
    assert decoded(b"\x1f\x8b", "", "") == b"\x1f\x8b"


def test_codings_of_several_headers_are_in_their_order() -> None:
    content = gzip.compress(zlib.compress(BODY))
    assert decode_body(content, [], ["deflate", "gzip"], LIMIT, fastwarc.stream_io) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate, deflate"])
def test_no_more_than_the_limit_is_unpacked(encoding: str) -> None:
    content = bytes(50_000_000)
    for name in encoding.split(", "):
        content = gzip.compress(content) if name == "gzip" else zlib.compress(content)
    assert len(decoded(content, "", encoding)) == LIMIT + 1


@given(st.binary(max_size=60), st.sampled_from(["chunked", "gzip, chunked", "br", "zstd", "deflate", "compress"]))
def test_any_bytes_are_read_or_left_as_they_are(content: bytes, transfer: str) -> None:
    assert len(decoded(content, transfer, "gzip")) <= LIMIT + 1


@given(st.binary(max_size=200), st.integers(1, 50))
def test_chunks_of_any_bytes_and_size_are_joined(body: bytes, size: int) -> None:
    assert decoded(chunked(body, size, b";a=b"), "chunked") == body
