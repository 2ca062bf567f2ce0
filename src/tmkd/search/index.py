"""Search index of passages on disk: BM25 by tantivy, behind a small protocol."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tmkd.data.words import search_terms
from tmkd.errors import TmkdError, optional_import
from tmkd.search.passage_store import Passage, Texts, write_texts
from tmkd.search.writable import WritableFiles
from tmkd.store import digest_file, digest_json, write_atomic

if TYPE_CHECKING:
    import tantivy

# Stop words: frequent in questions, uninformative, and slow to look up.
STOP_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been before being but by can could did do does for from
    get had has have he her his how i if in into is it its just me more most much my of on one or our out over s she
    should so some such t than that the their them then there these they this those to too up very was we were what
    when where which while who why will with would you your
    """.split()  # noqa: SIM905 - a list would take a page
)
WORDS = ".words"  # hidden: tantivy's file names are random, so they stay out of the artifact's digest
SEAL = "files.json"
_ALONE = ".words.lock"
_ANALYSIS = 4  # raise it when a code change gives other terms for the same text
_LONGEST_TERM = 40  # characters; longer ones are not indexed
_LONGEST_QUESTION = 10_000  # characters; the rest is ignored
_MOST_TERMS = 2_000  # of a question; the rest is ignored
_HEAP = 256_000_000  # bytes; memory of the writer per segment


class Hit(NamedTuple):
    """A search hit: url of its document, text and number of the passage, rank among the hits (from 1), BM25 score."""

    url: str
    passage: str
    rank: int
    score: float
    number: int


class SearchIndex(Protocol):
    """Protocol of a passage index."""

    def search(self, question: str, documents: int) -> list[Hit]:
        """Retrieve passages, best first, of the best `documents` documents or all that match; one or more of each."""
        ...


class TantivyIndex:
    """An index in a folder: the passages in texts-*.arrow, tantivy's files in `.words/`.

    Terms are `search_terms` without English stop words, of questions as of passages. Files are memory-mapped: the index
    can be larger than memory, and several processes can share it. Passages that came here without tantivy's files, as
    from object storage, are indexed when they are opened, by one process.
    """

    def __init__(self, folder: Path) -> None:
        tantivy = _tantivy()
        self.texts = Texts(folder)
        self._schema = _schema(tantivy)
        if self.texts.files and not (folder / WORDS / SEAL).is_file() and os.access(folder, os.W_OK):
            _extend_alone(folder)
        try:
            self._files = WritableFiles(folder / WORDS)
            index = tantivy.Index.open(str(self._files.folder))
            made = (folder / WORDS / SEAL).read_text(encoding="utf-8").partition("\n")[0]
        except (ValueError, OSError) as error:
            raise TmkdError(f"{folder}: no usable search index ({error}); remove it and run collect again") from error
        if made != _terms_id():
            raise TmkdError(f"{folder}: a search index of other terms, by another tmkd; run collect again")
        self._searcher = index.searcher()
        if self._searcher.num_docs != len(self.texts):
            raise TmkdError(
                f"{folder}: the search index has {self._searcher.num_docs} of {len(self.texts)} passages; "
                "remove it and run collect again"
            )
        self._query = tantivy.Query
        self._occur = tantivy.Occur

    @classmethod
    def build(cls, folder: Path, *passages: Iterable[Passage]) -> TantivyIndex:
        """Write and index streams of passages in order; the words of a title count as words of the passage.

        An existing index is extended: an additional stream only adds its own passages.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_texts(folder, *passages)
        _extend(folder)
        return cls(folder)

    def __len__(self) -> int:
        return len(self.texts)

    def search(self, question: str, documents: int) -> list[Hit]:
        """Retrieve hits, best first, of the best `documents` documents; ties in the order of the passages.

        The question is plain text: query syntax has no effect.
        """
        words = self._words(question)
        if not words or not len(self):
            return []
        query, limit = self._any_of(words), 2 * documents
        while True:
            found = self._numbers(query, limit)
            # More passages may have the last score: those retrieved need not be the first of them, so none is used.
            cut = found[-1][0] if len(found) == limit else 1.0
            hits: list[Hit] = []
            urls: set[str] = set()
            for score, number in found:
                if score == cut:
                    break
                url = self.texts.url(number)
                if url not in urls and len(urls) == documents:
                    return hits
                urls.add(url)
                hits.append(Hit(url, self.texts.passage(number), len(hits) + 1, -score, number))
            if len(found) < limit or len(urls) == documents:
                return hits
            limit *= 4

    def best_of(self, question: str, urls: Sequence[str]) -> list[int | None]:
        """Select the number of each document's best passage: the first where no word matches, None without one."""
        any_word = self._any_of(self._words(question))
        found: list[int | None] = []
        for url in urls:
            its = self._query.const_score_query(self._query.term_query(self._schema, "url", url), 0.0)
            query = self._query.boolean_query([(self._occur.Must, its), (self._occur.Should, any_word)])
            # Enough to contain the ties for the best score, and with them the first passage.
            numbers = self._numbers(query, 100)
            found.append(numbers[0][1] if numbers else None)
        return found

    def _words(self, question: str) -> list[str]:
        clean = question[:_LONGEST_QUESTION].encode("utf-8", "replace").decode()
        return list(dict.fromkeys(index_terms(clean)))[:_MOST_TERMS]

    def _any_of(self, words: Sequence[str]) -> tantivy.Query:
        term, should = self._query.term_query, self._occur.Should
        return self._query.boolean_query([(should, term(self._schema, "words", word, "freq")) for word in words])

    def _numbers(self, query: tantivy.Query, limit: int) -> list[tuple[float, int]]:
        """Retrieve the best `limit` passages as (−score, number), sorted.

        Scores are rounded: the last bits of a float sum depend on the order of the terms.
        """
        hits = self._searcher.search(query, limit, count=False).hits  # counting disables pruning
        numbers = self._searcher.fast_field_values("number", [address for _, address in hits])
        return sorted((-round(score, 4), int(number or 0)) for (score, _), number in zip(hits, numbers, strict=True))


def _tantivy() -> ModuleType:
    with optional_import("search needs", "tantivy"):
        import tantivy
    return tantivy


def index_terms(text: str) -> list[str]:
    """Terms of a text in an index: `search_terms` without English stop words and what is longer than any word."""
    return [term for term in search_terms(text) if term not in STOP_WORDS and len(term) <= _LONGEST_TERM]


def _terms_id() -> str:
    """Digest of the settings that decide which terms a text has; an index under another one is made anew."""
    return digest_json([_ANALYSIS, _LONGEST_TERM, sorted(STOP_WORDS)])


def _schema(tantivy: ModuleType) -> tantivy.Schema:
    schema = tantivy.SchemaBuilder()
    # Without positions, which BM25 does not use.
    schema.add_text_field("words", tokenizer_name="words", index_option="freq")
    schema.add_text_field("url", tokenizer_name="raw", index_option="basic")
    schema.add_unsigned_field("number", fast=True)
    return schema.build()


def _extend(folder: Path) -> None:
    """Index the passage files that are not indexed yet, or all of them if an indexed file has changed.

    tantivy commits once, so a crash leaves the old index or the new one. The list of indexed files is written last; an
    index that is ahead of its list is rebuilt.
    """
    tantivy = _tantivy()
    texts, words = Texts(folder), folder / WORDS
    made = _terms_id()
    files = [digest_file(path) for path in texts.files]
    index, done = _indexed(tantivy, words, made, files, texts.rows)
    if index is None:
        shutil.rmtree(words, ignore_errors=True)
        words.mkdir()
        index = tantivy.Index(_schema(tantivy), str(words))
    # Terms are joined by spaces: tantivy only splits there.
    index.register_tokenizer("words", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
    if done < len(files) or not done:
        writer = index.writer(_HEAP, 1)
        count = sum(texts.rows[:done])
        try:
            for place in range(done, len(files)):
                for url, title, passage in texts.file(place):
                    document = tantivy.Document()
                    document.add_text("words", " ".join(index_terms(f"{title}\n{passage}")))
                    document.add_text("url", url)
                    document.add_unsigned("number", count)
                    writer.add_document(document)
                    count += 1
            writer.commit()
            writer.wait_merging_threads()
        except ValueError as error:
            raise TmkdError(f"{words}: the search index cannot be written: {error}") from error
    write_atomic(words / SEAL, "\n".join([made, *files]).encode())


def _extend_alone(folder: Path) -> None:
    """Index the passage files while no other process does."""
    import fcntl  # on POSIX alone

    with (folder / _ALONE).open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _extend(folder)


def _indexed(
    tantivy: ModuleType, words: Path, made: str, files: list[str], rows: list[int]
) -> tuple[tantivy.Index | None, int]:
    """Open an index that holds exactly the first n of these files: (index, n); (None, 0) without one."""
    try:
        known, *before = (words / SEAL).read_text(encoding="utf-8").split("\n")
        if known != made or before != files[: len(before)]:
            return None, 0
        index = tantivy.Index.open(str(words))
        if index.searcher().num_docs == sum(rows[: len(before)]):
            return index, len(before)
    except (OSError, ValueError):
        pass
    return None, 0
