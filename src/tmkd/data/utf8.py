"""UTF-8 text input: byte-order marks removed, other Unicode encodings refused."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator

from tmkd.errors import TmkdError

MARK = "\ufeff"


def without_mark(start: bytes, subject: str) -> bytes:
    """Remove byte-order marks from the start of a text.

    Raises: TmkdError about `subject` for UTF-16 and UTF-32, with a mark or where its first character is ASCII.
    """
    while start.startswith(BOM_UTF8):
        start = start.removeprefix(BOM_UTF8)
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in start[:4]:
        raise TmkdError(f"{subject}: UTF-16 or UTF-32, or no text at all; save it as UTF-8")
    return start


def without_marks(lines: Iterable[bytes], subject: str) -> Iterator[bytes]:
    """Remove a byte-order mark before any line: files that were joined end to end have some inside.

    Raises: as `without_mark` does, at the first line.
    """
    for number, line in enumerate(lines):
        yield line.removeprefix(BOM_UTF8) if number else without_mark(line, subject)
