"""A web archive (WARC 1.0 or 1.1, plain or gzip) → the HTML pages in it, whatever is broken beside them.

FastWARC parses headers and undoes encodings; where a record begins and ends is found here. FastWARC 2.0 and warcio 1.8
both stop for good at a broken gzip member, and believe a Content-Length that reaches into the next record or to the end
of the file; warcio also stops at garbage between records and in a file that is one single gzip member.
"""

from __future__ import annotations

import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tmkd.collect.document_tables import LONGEST_URL
from tmkd.collect.html import LARGEST
from tmkd.errors import TmkdError

_CHUNK = 1 << 16
_GZIP = b"\x1f\x8b\x08"
_REMEMBERED = 1 << 22  # bytes of a gzip member that are looked through for the next one when it is broken
_BLANK = b"\r\n\t \0"
_LONGEST_HEADER = 1 << 16
_BEGIN = re.compile(rb"WARC/[01]\.\d{1,2}\r?\n")
_BEGINNING = 11  # bytes of it that tell nothing yet
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
_HTML = ("text/html", "application/xhtml+xml")


class Response(NamedTuple):
    """A page as it came: its address, its bytes with all encodings undone, its charset as the server declared it."""

    url: str
    content: bytes
    charset: str | None


def read_warc(path: Path, told: Counter[str]) -> Iterator[Response]:
    """The HTML pages that a server answered with status 200, and resources that are HTML; in the file's order.

    Other kinds of records are passed over. Pages that cannot be had are counted in `told` by what is wrong with them.
    Memory: a few times LARGEST. Raises: OSError when the file cannot be read; TmkdError when it is no gzip although it
    is named so, or FastWARC is not installed.
    """
    fastwarc = _fastwarc()
    with path.open("rb") as file:
        start = file.read(len(_GZIP))
        file.seek(0)
        if start and start != _GZIP and path.suffix.lower() == ".gz":
            raise TmkdError(f"{path}: not a gzip file; if it is a plain one, name it without .gz")
        for record in _records(_unzipped(file, told) if start == _GZIP else _plain(file), told):
            found = _response(fastwarc, record)
            if isinstance(found, Response):
                yield found
            elif found:
                told[found] += 1


def _fastwarc() -> Any:
    try:
        import fastwarc.stream_io
        import fastwarc.warc
    except ImportError as error:
        raise TmkdError("reading WARC files needs fastwarc: pip install 'tmkd[collect]'") from error
    return fastwarc


# -- bytes of the file → bytes of a record ---------------------------------------------------------------------------


def _plain(file: BinaryIO) -> Iterator[bytes | None]:
    while chunk := file.read(_CHUNK):
        yield chunk
    yield None


def _unzipped(file: BinaryIO, told: Counter[str]) -> Iterator[bytes | None]:
    """What gzip members hold, in pieces; None after each whole member, b"" where one is broken off.

    After a broken member the next one is looked for, from the broken one's own start: its end may have been passed.
    """
    raw = bytearray()  # of the member at hand, and what was read beyond it
    lost = False  # between a broken member and the next whole one
    while True:
        start = raw.find(_GZIP)
        if raw[: max(start, 0)].strip(_BLANK) and not lost:
            told["garbage between records"] += 1
            lost = True
        if start < 0:
            more = file.read(_CHUNK)
            if not more:
                return
            raw = raw[-len(_GZIP) + 1 :] + more
            continue
        del raw[:start]
        member, data = zlib.decompressobj(wbits=31), bytes(raw)
        try:
            while not member.eof:
                piece = member.decompress(data, _CHUNK)
                if piece:
                    yield piece
                data = member.unconsumed_tail
                if not data and not member.eof:
                    data = file.read(_CHUNK)
                    if not data:
                        raise EOFError
                    raw += data
                    del raw[:-_REMEMBERED]
        except (zlib.error, EOFError) as error:
            if not lost:
                told["truncated" if isinstance(error, EOFError) else "damaged"] += 1
            lost = True
            del raw[:1]
            yield b""
        else:
            lost = False
            raw = bytearray(member.unused_data)
            yield None


def _records(pieces: Iterable[bytes | None], told: Counter[str]) -> Iterator[bytes]:
    """Whole records, header and block; after one whose length is wrong the next beginning of a record is looked for."""
    buffer = bytearray()
    lost = False  # in the middle of a record that is not taken
    for piece in pieces:
        if piece == b"":  # counted already
            buffer.clear()
        buffer += piece or b""
        last = piece is None
        while buffer:
            begin = _BEGIN.search(buffer)
            if begin is None:
                end = len(buffer) if last else max(len(buffer) - _BEGINNING, 0)
                if buffer[:end].strip(_BLANK) and not lost:
                    told["garbage between records"] += 1
                    lost = True
                del buffer[:end]
                break
            if buffer[: begin.start()].strip(_BLANK) and not lost:
                told["garbage between records"] += 1
            del buffer[: begin.start()]
            header = _HEADER_END.search(buffer, 0, _LONGEST_HEADER)
            length = _LENGTH.search(buffer, 0, header.end()) if header else None
            wrong = ""
            if header is None or length is None:
                if header is None and len(buffer) < _LONGEST_HEADER and not last:
                    break
                wrong = "truncated" if last and header is None else "bad header"
            else:
                end = header.end() + int(length[1])
                if end > LARGEST + 2 * _LONGEST_HEADER:
                    # Most are no pages but films and programs, which nobody misses.
                    wrong = "too large" if _HTML[0].encode() in buffer[: 2 * _LONGEST_HEADER] else "-"
                elif len(buffer) < end + 4 and not last:
                    break
                elif len(buffer) < end and _BEGIN.search(buffer, header.end()) is None:
                    wrong = "truncated"
                elif len(buffer) < end or buffer[end : end + 4].strip(b"\r\n"):
                    wrong = "wrong length"
            lost = bool(wrong)
            if not wrong:
                yield bytes(buffer[:end])
            elif wrong != "-":
                told[wrong] += 1
            del buffer[: 1 if wrong else end]
        if last or not piece:
            buffer.clear()
            lost = False


# -- a record → a page -------------------------------------------------------------------------------------------------


def _response(fastwarc: Any, record: bytes) -> Response | str:
    """The page in a record, or in short words why there is none; "" for a record of another kind."""
    try:
        found, url, content = _read(fastwarc, record, "transfer")
    except OSError:
        try:  # declared as chunked, yet stored whole
            found, url, content = _read(fastwarc, record, "none")
        except OSError:
            return "bad header"
    kinds = fastwarc.warc.WarcRecordType
    if found.record_type not in (kinds.response, kinds.resource):
        return ""
    http = found.http_headers
    sent = (found.http_content_type if http else found.headers.get("Content-Type")) or ""
    if http is not None and http.status_code != 200:
        return "status not 200"
    if sent.split(";")[0].strip().lower() not in _HTML:
        return "not HTML"
    if not url:
        return "no url"
    if len(url) > LONGEST_URL:
        return "url too long"
    encoding = (http.get("Content-Encoding") or "") if http else ""
    content = _decoded(fastwarc, content, encoding.strip().lower())
    if len(content) > LARGEST:
        return "too large"
    return Response(url, content, found.http_charset)


def _read(fastwarc: Any, record: bytes, decode: str) -> tuple[Any, str, bytes]:
    found = fastwarc.warc.WarcRecord.from_reader(io.BytesIO(record), quirks_mode=True)
    if found.record_type == fastwarc.warc.WarcRecordType.response:
        found.is_http = True  # also where the record's own Content-Type does not say so
    # Content encodings are left: undone here they would be undone whole, however large a small record becomes.
    found.parse_http(auto_decode=decode, quirks_mode=True)
    url = (found.headers.get("WARC-Target-URI") or "").strip("<> ")
    return found, url, found.reader.read(LARGEST + 1)


def _decoded(fastwarc: Any, content: bytes, encoding: str) -> bytes:
    """At most LARGEST + 1 bytes of what was packed; the bytes as they are when they were not."""
    stream = fastwarc.stream_io
    readers = {"gzip": stream.GzipReader, "br": stream.BrotliReader, "zstd": stream.ZstdReader}
    try:
        if encoding.removeprefix("x-") in readers:
            return bytes(readers[encoding.removeprefix("x-")](io.BytesIO(content)).read(LARGEST + 1))
        if encoding == "deflate":
            wbits = 15 if content[:1] == b"\x78" else -15
            return zlib.decompressobj(wbits).decompress(content, LARGEST + 1)
    except (OSError, zlib.error):
        pass  # declared as packed, yet stored unpacked, as many crawlers do
    return content
