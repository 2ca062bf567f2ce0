"""Document files (web archives, HTML, JSONL, tables) → documents, streamed; dropped records are counted by reason."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tmkd.collect.document_tables import read_documents
from tmkd.collect.html import MAX_HTML_BYTES, read_page
from tmkd.collect.near_duplicates import NearDuplicates
from tmkd.collect.warc import read_warc
from tmkd.data.messages import short
from tmkd.data.words import count_words, visible
from tmkd.errors import TmkdError, optional_import
from tmkd.recipe.parts import SourceSpec

_HTML = (".html", ".htm")
_KINDS = (".warc", ".warc.gz", *_HTML, ".jsonl", ".jsonl.gz", ".parquet", ".tsv", ".tsv.gz", ".csv", ".csv.gz")
_MAX_TITLE_LENGTH = 300  # characters; the title is indexed with every passage
_MIN_LANGUAGE_WORDS = 20  # language identification is unreliable on fewer
_LANGUAGE_SAMPLE_LENGTH = 4_000  # characters


class Document(NamedTuple):
    """A document: url (its identity), title ("" if there is none), plain text."""

    url: str
    title: str
    text: str


class Record(NamedTuple):
    """A document as stored in a file: HTML as bytes with its declared charset, or plain text."""

    url: str
    title: str
    content: str | bytes
    charset: str | None = None


def records(source: SourceSpec, base: Path, drop_counts: Counter[str]) -> Iterator[Record]:
    """Stream the records of a file, or of every HTML file below a folder, in order.

    Faulty records are skipped and counted in `drop_counts` by reason. A relative name is relative to `base`.
    Raises: TmkdError for a file that is missing, unreadable, of an unknown kind or without its required columns, and
    at the end when the file had no record.
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
        drop_counts.update(left_out)
    if not number:
        reasons = ", ".join(f"{count} × {what}" for what, count in left_out.items()) or "it is empty"
        raise TmkdError(f"{path}: no documents in it ({reasons}); docs/data.md describes the formats")


def check_documents(source: SourceSpec, base: Path, language: str | None) -> None:
    """Check that a file has a readable record, and read this one alone.

    Raises: TmkdError as `records` and `to_document` do.
    """
    if language is not None:
        _likelihoods(language, "")
    to_document(next(records(source, base, Counter())), language)


def to_document(record: Record, language: str | None) -> Document | str:
    """Convert a record to a document, or give the reason to drop it: no main text, another language, too large, …

    `language` is a two-letter code (en); texts of fewer than 20 words pass unchecked. Takes seconds at most.
    Raises: TmkdError for a missing package or an unknown language.
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
    if language is not None and not _is_likely(language, text):
        return "another language"
    return Document(_encodable(record.url), " ".join(_clean(title).split())[:_MAX_TITLE_LENGTH], text)


class Deduplicator:
    """Filter for documents with a known url, and with `near` for near-duplicate texts.

    Dropped documents are counted in `drop_counts`. Memory: 8-byte digests of url and text, about 0.2 KB a document;
    with `near` also the signatures of NearDuplicates.
    """

    def __init__(self, drop_counts: Counter[str], *, near: bool = False) -> None:
        self._drop_counts = drop_counts
        self._texts: dict[int, int] = {}
        self._near = NearDuplicates() if near else None

    def take(self, document: Document) -> bool:
        """True for a document to keep: a new url and, with `near`, no near-duplicate of an earlier text."""
        url, text = _digest(document.url), _digest(document.text)
        known = self._texts.get(url)
        if known is not None:
            self._drop_counts["same url, same text" if known == text else "same url, other text"] += 1
            return False
        self._texts[url] = text
        if self._near is not None and self._near.seen(document.text):
            self._drop_counts["near-duplicate"] += 1
            return False
        return True


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


def _clean(text: str) -> str:
    """Remove invisible characters, and those that cannot be stored."""
    return visible(_encodable(text))


def _encodable(text: str) -> str:
    """Replace NUL, which ends C strings, and lone surrogates, which JSON can spell and UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


def _is_likely(language: str, text: str) -> bool:
    """True unless py3langid gives `language` under 1/20 of the best one's likelihood, on prose if there is any."""
    # Lists and tables are mostly names, which mislead language identification.
    prose = " ".join(part for part in text.split("\n\n") if "\n" not in part and count_words(part) >= 10)
    sample = (prose if count_words(prose) >= _MIN_LANGUAGE_WORDS else text)[:_LANGUAGE_SAMPLE_LENGTH]
    if count_words(sample) < _MIN_LANGUAGE_WORDS:
        return True
    scores = _likelihoods(language, sample)
    # Naive Bayes adds up dependent features, so its odds are far too large for long texts; dividing by the square root
    # of the length compensates (py3langid's own normalisation).
    gap = (max(scores.values()) - scores[language]) / math.sqrt(len(sample.encode()))
    return gap <= math.log(20)


def _likelihoods(language: str, text: str) -> dict[str, float]:
    """Logarithmic likelihood of each language.  Raises: TmkdError when `language` is none of them."""
    with optional_import("language identification needs", "py3langid"):
        from py3langid import rank
    scores = dict(rank(text))
    if language not in scores:
        raise TmkdError(f"language '{language}' is not known; give a code such as en, de, fr, zh")
    return scores


# -- files → records ---------------------------------------------------------------------------------------------------


def _read(path: Path, source: SourceSpec, drop_counts: Counter[str]) -> Iterator[Record]:
    if path.is_dir():
        yield from _folder(path, drop_counts)
        return
    if not path.is_file():
        raise TmkdError(f"{path}: no such file")
    name = path.name.lower()
    kind = Path(name.removesuffix(".gz")).suffix
    if kind + name.removeprefix(name.removesuffix(".gz")) not in _KINDS:
        raise TmkdError(f"{path}: cannot be read here; give a folder of HTML files or a file of {', '.join(_KINDS)}")
    if kind == ".warc":
        for url, content, charset in read_warc(path, drop_counts):
            yield Record(url, "", content, charset)
    elif kind in _HTML:
        yield from _page(path, path.name, drop_counts)
    else:
        for url, title, text in read_documents(path, source, drop_counts):
            yield Record(url, title, text)


def _folder(path: Path, drop_counts: Counter[str]) -> Iterator[Record]:
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in _HTML:
                page = Path(folder, name)
                yield from _page(page, page.relative_to(path).as_posix(), drop_counts)


def _page(path: Path, url: str, drop_counts: Counter[str]) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_HTML_BYTES + 1)
    except OSError:
        drop_counts["unreadable"] += 1
        return
    if len(content) > MAX_HTML_BYTES:
        drop_counts["too large"] += 1
    else:
        yield Record(url, "", content)
