"""Files of documents (web archives, HTML, JSONL, tables) → documents, streamed; what is broken in them is counted."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tmkd.collect.document_tables import read_documents
from tmkd.collect.html import LARGEST, read_page
from tmkd.collect.near_duplicates import NearDuplicates
from tmkd.collect.warc import read_warc
from tmkd.data.tables import short
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

_HTML = (".html", ".htm")
_KINDS = (".warc", ".warc.gz", *_HTML, ".jsonl", ".jsonl.gz", ".parquet", ".tsv", ".tsv.gz", ".csv", ".csv.gz")
_LONGEST_TITLE = 300  # characters; it goes with every passage
_FEW_WORDS = 20  # of fewer the language cannot be told
_LANGUAGE_SAMPLE = 4_000  # characters


class Document(NamedTuple):
    """A page: its address (the document's identity), its title ("" if it has none), its text."""

    url: str
    title: str
    text: str


class Record(NamedTuple):
    """A page as a file holds it: HTML as bytes, with its charset as declared, or a text that is clean already."""

    url: str
    title: str
    content: str | bytes
    charset: str | None = None


def records(source: SourceSpec, base: Path, told: Counter[str]) -> Iterator[Record]:
    """Read the pages of a file, or of every HTML file below a folder, in order and one at a time.

    What is wrong with single records is counted in `told` in a few words, and they are left out. A relative name is
    relative to `base`. Raises: TmkdError for a file that is missing, unreadable, of no known kind or without the
    columns it needs, and at the end when there was not one record.
    """
    path = base / Path(source.file).expanduser()
    left_out: Counter[str] = Counter()
    number = 0
    try:
        for record in _read(path, source, left_out):
            number += 1
            yield record
    except OSError as error:
        raise TmkdError(f"{path}: cannot be read: {error.strerror or short(str(error))}") from error
    finally:
        told.update(left_out)
    if not number:
        reasons = ", ".join(f"{count} × {what}" for what, count in left_out.items()) or "it is empty"
        raise TmkdError(f"{path}: no documents in it ({reasons}); docs/data.md tells what is expected")


def check_documents(source: SourceSpec, base: Path) -> None:
    """Read a file up to its first document. Raises: TmkdError as `records` does."""
    next(records(source, base, Counter()))


def to_document(record: Record, language: str | None) -> Document | str:
    """A record as a document, or in a few words why it is none: no main text, another language, too large, …

    `language` is a code of two letters (en); texts of fewer than 20 words pass in any. Seconds at most for any content.
    Raises: TmkdError only for a package that is not installed.
    """
    title, content = record.title, record.content
    if isinstance(content, bytes):
        page = read_page(content, record.url, record.charset)
        if isinstance(page, str):
            return page
        title, content = title or page.title, page.text
    text = _clean(content)
    if not text.strip():
        return "empty text"
    if language is not None and not _may_be(language, text):
        return "another language"
    return Document(_clean(record.url), " ".join(_clean(title).split())[:_LONGEST_TITLE], text)


class Distinct:
    """The documents that came so far, as 8 bytes of digests each of url and text, and with `near` their signatures.

    What is left out is counted in `told`. Memory: about 0.2 KB a document, with `near` what NearDuplicates needs.
    """

    def __init__(self, told: Counter[str], *, near: bool = False) -> None:
        self._told = told
        self._texts: dict[int, int] = {}
        self._near = NearDuplicates() if near else None

    def take(self, document: Document) -> bool:
        """Whether neither the document's url came before nor, with `near`, nearly its text; the first one stays."""
        url, text = _digest(document.url), _digest(document.text)
        known = self._texts.get(url)
        if known is not None:
            self._told["same url, same text" if known == text else "same url, other text"] += 1
            return False
        self._texts[url] = text
        if self._near is not None and self._near.seen(document.text):
            self._told["near-duplicate"] += 1
            return False
        return True


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


def _clean(text: str) -> str:
    """Without NUL, which ends C strings, and without what UTF-8 cannot hold: JSON can spell half a surrogate pair."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


def _may_be(language: str, text: str) -> bool:
    """Whether a text is at least a twentieth as likely in a language as in the likeliest one; prose decides, if any."""
    try:
        from py3langid import rank
    except ImportError as error:
        raise TmkdError("telling languages needs py3langid: pip install 'tmkd[collect]'") from error
    # Lists and tables are full of names, which look like any language.
    prose = " ".join(part for part in text.split("\n\n") if "\n" not in part and len(part.split()) >= 10)
    sample = (prose if len(prose.split()) >= _FEW_WORDS else text)[:_LANGUAGE_SAMPLE]
    if len(sample.split()) < _FEW_WORDS:
        return True
    scores = dict(rank(sample))
    if language not in scores:
        raise TmkdError(f"language '{language}' is not known; give a code as en, de, fr, zh")
    # The scores of single features add up as if they were independent, so odds are far too large for long texts; the
    # square root of its length evens that out (py3langid's own normalisation).
    behind = (max(scores.values()) - scores[language]) / math.sqrt(len(sample.encode()))
    return behind <= math.log(20)


# -- files → records ---------------------------------------------------------------------------------------------------


def _read(path: Path, source: SourceSpec, told: Counter[str]) -> Iterator[Record]:
    if path.is_dir():
        yield from _folder(path, told)
        return
    if not path.is_file():
        raise TmkdError(f"{path}: no such file")
    name = path.name.lower()
    kind = Path(name.removesuffix(".gz")).suffix
    if kind + name.removeprefix(name.removesuffix(".gz")) not in _KINDS:
        raise TmkdError(f"{path}: cannot be read here; give a folder of HTML files or a file of {', '.join(_KINDS)}")
    if kind == ".warc":
        for url, content, charset in read_warc(path, told):
            yield Record(url, "", content, charset)
    elif kind in _HTML:
        yield from _page(path, path.name, told)
    else:
        for url, title, text in read_documents(path, source, told):
            yield Record(url, title, text)


def _folder(path: Path, told: Counter[str]) -> Iterator[Record]:
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in _HTML:
                page = Path(folder, name)
                yield from _page(page, page.relative_to(path).as_posix(), told)


def _page(path: Path, url: str, told: Counter[str]) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError:
        told["unreadable"] += 1
        return
    if len(content) > LARGEST:
        told["too large"] += 1
    else:
        yield Record(url, "", content)
