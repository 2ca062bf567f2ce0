"""Web archives (WARC 1.0 or 1.1, plain or gzip) → HTML pages, with recovery after damaged records.

FastWARC parses headers and decodes bodies; record boundaries are found here. FastWARC 2.0 and warcio 1.8
both stop at a broken gzip member, and trust a Content-Length that reaches into the next record or to the end
of the file; warcio also stops at garbage between records and in a file that is one single gzip member.
"""

from __future__ import annotations

import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from tmkd.collect.charset import declared_charset
from tmkd.collect.document_tables import MAX_URL_LENGTH
from tmkd.collect.html import MAX_HTML_BYTES
from tmkd.collect.http_body import decode_body
from tmkd.errors import TmkdError, optional_import

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_CHUNK_BYTES = 1 << 16
_GZIP = b"\x1f\x8b\x08"
_RESYNC_BYTES = 1 << 22  # bytes of a broken gzip member that are searched for the next one
_PADDING = b"\r\n\t \0"
_MAX_HEADER_BYTES = 1 << 16
_RECORD_START = re.compile(rb"WARC/[01]\.\d{1,2}\r?\n")
_RECORD_START_BYTES = 11  # a prefix this long may still become a record start
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
_SPELT = {b"warc-type": b"WARC-Type", b"content-length": b"Content-Length"}
_NAMES = re.compile(rb"^(?:warc-type|content-length)(?=[ \t]*:)", re.IGNORECASE | re.MULTILINE)
_HTML = ("text/html", "application/xhtml+xml")


class Response(NamedTuple):
    """An HTTP response: url, body with transfer and content encodings decoded, charset declared by the server."""

    url: str
    content: bytes
    charset: str | None


def read_warc(path: Path, drop_counts: Counter[str]) -> Iterator[Response]:
    """Stream HTML responses with status 200 and HTML resources, in the file's order; other record types are skipped.

    Unusable pages are counted in `drop_counts` by reason. Memory: a few times MAX_HTML_BYTES. Raises: OSError when the
    file cannot be read; TmkdError for a .gz file that is no gzip, or when FastWARC is not installed.
    """
    fastwarc = _fastwarc()
    with path.open("rb") as file:
        start = file.read(len(_GZIP))
        file.seek(0)
        if start and start != _GZIP and path.suffix.lower() == ".gz":
            raise TmkdError(f"{path}: not a gzip file; if it is a plain one, name it without .gz")
        for record in _records(_gzip_chunks(file, drop_counts) if start == _GZIP else _plain_chunks(file), drop_counts):
            found = _response(fastwarc, record)
            if isinstance(found, Response):
                yield found
            elif found:
                drop_counts[found] += 1


def _fastwarc() -> ModuleType:
    with optional_import("reading WARC files needs", "fastwarc"):
        import fastwarc.stream_io
        import fastwarc.warc
    return fastwarc


# -- bytes of the file → bytes of a record ---------------------------------------------------------------------------


def _plain_chunks(file: BinaryIO) -> Iterator[bytes | None]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
    yield None


def _gzip_chunks(file: BinaryIO, drop_counts: Counter[str]) -> Iterator[bytes | None]:
    """Decompress gzip members in chunks; None after each complete member, b"" where one breaks off.

    After a broken member the search for the next one restarts at its beginning: its end may have been passed.
    """
    raw = bytearray()  # compressed bytes of the current member and beyond
    skipping = False  # between a broken member and the next complete one
    while True:
        start = raw.find(_GZIP)
        if raw[: max(start, 0)].strip(_PADDING) and not skipping:
            drop_counts["garbage between records"] += 1
            skipping = True
        if start < 0:
            more = file.read(_CHUNK_BYTES)
            if not more:
                return
            raw = raw[-len(_GZIP) + 1 :] + more
            continue
        del raw[:start]
        member, data = zlib.decompressobj(wbits=31), bytes(raw)
        try:
            while not member.eof:
                piece = member.decompress(data, _CHUNK_BYTES)
                if piece:
                    yield piece
                data = member.unconsumed_tail
                if not data and not member.eof:
                    data = file.read(_CHUNK_BYTES)
                    if not data:
                        raise EOFError
                    raw += data
                    del raw[:-_RESYNC_BYTES]
        except (zlib.error, EOFError) as error:
            if not skipping:
                drop_counts["truncated" if isinstance(error, EOFError) else "damaged"] += 1
            skipping = True
            del raw[:1]
            yield b""
        else:
            skipping = False
            raw = bytearray(member.unused_data)
            yield None


def _records(pieces: Iterable[bytes | None], drop_counts: Counter[str]) -> Iterator[bytes]:
    """Split chunks into records (header and block); after a wrong length, search for the next record start."""
    buffer = bytearray()
    skipping = False  # inside a dropped record
    for piece in pieces:
        if piece == b"":  # counted already
            buffer.clear()
        buffer += piece or b""
        last = piece is None
        while buffer:
            begin = _RECORD_START.search(buffer)
            if begin is None:
                end = len(buffer) if last else max(len(buffer) - _RECORD_START_BYTES, 0)
                if buffer[:end].strip(_PADDING) and not skipping:
                    drop_counts["garbage between records"] += 1
                    skipping = True
                del buffer[:end]
                break
            if buffer[: begin.start()].strip(_PADDING) and not skipping:
                drop_counts["garbage between records"] += 1
            del buffer[: begin.start()]
            header = _HEADER_END.search(buffer, 0, _MAX_HEADER_BYTES)
            length = _LENGTH.search(buffer, 0, header.end()) if header else None
            wrong = ""
            if header is None or length is None:
                if header is None and len(buffer) < _MAX_HEADER_BYTES and not last:
                    break
                wrong = "truncated" if last and header is None else "bad header"
            else:
                end = header.end() + int(length[1])
                if end > MAX_HTML_BYTES + 2 * _MAX_HEADER_BYTES:
                    # Mostly videos and programs: counted only if they are HTML.
                    wrong = "too large" if _HTML[0].encode() in buffer[: 2 * _MAX_HEADER_BYTES] else "-"
                elif len(buffer) < end + 4 and not last:
                    break
                elif len(buffer) < end and _RECORD_START.search(buffer, header.end()) is None:
                    wrong = "truncated"
                elif len(buffer) < end or buffer[end : end + 4].strip(b"\r\n"):
                    wrong = "wrong length"
            skipping = bool(wrong)
            if not wrong:
                yield bytes(buffer[:end])
            elif wrong != "-":
                drop_counts[wrong] += 1
            del buffer[: 1 if wrong else end]
        if last or not piece:
            buffer.clear()
            skipping = False


# -- a record → a page -------------------------------------------------------------------------------------------------


def _response(fastwarc: ModuleType, record: bytes) -> Response | str:
    """Extract the page of a record, or the reason to drop it; "" for another record type."""
    try:
        found, url, content = _read(fastwarc, record)
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
    if len(url) > MAX_URL_LENGTH:
        return "url too long"
    headers = [(name.lower(), value) for name, value in http.astuples()] if http else []
    transfer, encoding = (
        [value for name, value in headers if name == wanted] for wanted in ("transfer-encoding", "content-encoding")
    )
    content = decode_body(content, transfer, encoding, MAX_HTML_BYTES, fastwarc.stream_io)
    if len(content) > MAX_HTML_BYTES:
        return "too large"
    declared = (http.get("Content-Type") if http else None) or sent
    return Response(url, content, declared_charset(declared))


def _read(fastwarc: ModuleType, record: bytes) -> tuple[WarcRecord, str, bytes]:
    # FastWARC knows these two names in this spelling alone; WARC's names have any case.
    header = _HEADER_END.search(record)
    start = header.end() if header else 0
    named = _NAMES.sub(lambda name: _SPELT[name[0].lower()], record[:start])
    found = fastwarc.warc.WarcRecord.from_reader(io.BytesIO(named + record[start:]), quirks_mode=True)
    if found.record_type == fastwarc.warc.WarcRecordType.response:
        found.is_http = True  # also where the record's own Content-Type lacks it
    # Codings are undone later: FastWARC knows no chunk extensions, and no limit on the decoded size.
    found.parse_http(auto_decode="none", quirks_mode=True)
    url = (found.headers.get("WARC-Target-URI") or "").strip("<> ")
    return found, url, found.reader.read()
