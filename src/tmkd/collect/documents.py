"""Files of documents (JSONL) → documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tmkd.errors import TmkdError
from tmkd.recipe_parts import Source


class Document(NamedTuple):
    """A page: its address (the document's identity), its title ("" if it has none), its text."""

    url: str
    title: str
    text: str


def read_documents(source: Source, base: Path) -> Iterator[Document]:
    """Read a JSONL file of documents, one object a line with url, title (optional) and text, or paragraphs (a list).

    A relative file name is relative to `base`; blank lines are skipped; paragraphs are put together by blank lines.
    Raises: TmkdError naming file and row for a missing or empty file, bytes that are not UTF-8, a line that is no JSON
    object, and a missing or empty url or text.
    """
    path = base / source.file
    rows = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    rows += 1
                    yield _document(line, f"{path}: row {rows}")
    except OSError as error:
        raise TmkdError(f"{path}: cannot be read: {error.strerror}; name a JSONL file of documents") from error
    if not rows:
        raise TmkdError(f"{path}: no documents in it; expected a JSON object a line with url, title and text")


def _document(line: bytes, where: str) -> Document:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TmkdError(f"{where}: not UTF-8 (byte {error.start + 1} of the line); save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise TmkdError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise TmkdError(f"{where}: not a JSON object with url, title and text")
    paragraphs = row.get("paragraphs")
    if isinstance(paragraphs, list) and all(isinstance(paragraph, str) for paragraph in paragraphs):
        row.setdefault("text", "\n\n".join(paragraphs))
    return Document(_text(row, "url", where), _text({"title": "", **row}, "title", where), _text(row, "text", where))


def _text(row: dict[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if value is None and key == "title":
        return ""
    if value is None:
        raise TmkdError(f"{where}: no {key}; it has {', '.join(map(str, row)) or 'no keys'}")
    if not isinstance(value, str):
        raise TmkdError(f"{where}: {key} is not a text")
    if key != "title" and not value.strip():
        raise TmkdError(f"{where}: {key} is empty")
    # JSON can spell half a surrogate pair, which no UTF-8 file can hold.
    return value.encode("utf-8", "replace").decode()
