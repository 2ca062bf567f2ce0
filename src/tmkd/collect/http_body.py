"""Body of an HTTP message → bytes: chunks joined (RFC 9112 §7.1), transfer and content codings undone."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable
from types import ModuleType

# Size in hexadecimal digits, and extensions; some servers pad the size.
_CHUNK_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LINE_END = re.compile(rb"[ \t]*\r?\n")
_MOST_CODINGS = 5
_GZIP = b"\x1f\x8b"


def decode_body(
    content: bytes, transfer: Iterable[str], encoding: Iterable[str], limit: int, stream_io: ModuleType
) -> bytes:
    """Undo the codings of Transfer-Encoding, then those of Content-Encoding, each from the last to the first.

    `transfer` and `encoding` are the values of these headers. At most `limit` + 1 bytes. Content that is declared as
    encoded but stored decoded, as many crawlers do, stays as it is. `stream_io` is fastwarc.stream_io.
    """
    codings = [*_codings(encoding), *_codings(transfer)]
    if "chunked" not in codings and _is_chunked(content):  # some crawlers keep the chunks and drop the header
        codings.append("chunked")
    for coding in codings[::-1][:_MOST_CODINGS]:
        content = _joined(content) if coding == "chunked" else _decompressed(content, coding, limit, stream_io)
        if len(content) > limit and coding != "chunked":
            break
    # No HTML starts with these two bytes: some servers and crawlers name another coding, or none.
    if content.startswith(_GZIP):
        content = _decompressed(content, "gzip", limit, stream_io) or content
    return content[: limit + 1]


def _codings(values: Iterable[str]) -> list[str]:
    """Names of codings in a header's values, in order, without parameters and "x-"."""
    names = (name.partition(";")[0].strip().lower() for value in values for name in value.split(","))
    return [name.removeprefix("x-") for name in names if name and name != "identity"]


def _is_chunked(content: bytes) -> bool:
    """True for chunks from the first byte to a last one of size 0 at the end, or before a trailer."""
    place = 0
    while line := _CHUNK_LINE.match(content, place):
        size = int(line[1], 16)
        if not size:
            return place > 0
        after = _LINE_END.match(content, line.end() + size)
        if after is None:
            return False
        place = after.end()
    return False


def _joined(content: bytes) -> bytes:
    """Join chunks without their sizes, extensions and trailers; what follows a fault is left out."""
    line = _CHUNK_LINE.match(content)
    if line is None:
        return content
    chunks: list[bytes] = []
    while line is not None and (size := int(line[1], 16)):
        end = line.end() + size
        chunks.append(content[line.end() : end])
        after = _LINE_END.match(content, end)
        line = _CHUNK_LINE.match(content, after.end()) if after is not None else None
    return b"".join(chunks)


def _decompressed(content: bytes, coding: str, limit: int, stream_io: ModuleType) -> bytes:
    readers = {"br": "BrotliReader", "zstd": "ZstdReader"}
    try:
        if coding in readers:
            return bytes(getattr(stream_io, readers[coding])(io.BytesIO(content)).read(limit + 1))
        if coding == "gzip":
            return _inflated(content, 31, limit)
        if coding == "deflate":  # with zlib's header, as the standard has it, or raw, as some servers send it
            zlib_header = len(content) > 1 and content[0] & 15 == 8 and int.from_bytes(content[:2]) % 31 == 0
            return _inflated(content, 15 if zlib_header else -15, limit)
    except (OSError, zlib.error):
        pass
    return content


def _inflated(content: bytes, wbits: int, limit: int) -> bytes:
    """Inflate one stream, or several gzip members one after another; a broken end is left out."""
    found = b""
    while len(found) <= limit:
        member = zlib.decompressobj(wbits)
        found += member.decompress(content, limit + 1 - len(found))
        content = member.unused_data
        if not member.eof or not content.startswith(_GZIP):
            break
    return found
