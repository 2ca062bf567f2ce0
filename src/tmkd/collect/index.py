"""Passages → a search index on disk; question → passages. BM25 by tantivy behind a small protocol."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import pyarrow as pa

from tmkd.errors import TmkdError
from tmkd.store import digest_json, write_atomic

if TYPE_CHECKING:
    import tantivy

# Function words: in nearly every question, of no help in finding a passage, and costly to look up.
STOP_WORDS = tuple(
    """
    a about after all also am an and any are as at be because been before being but by can could did do does for from
    get had has have he her his how i if in into is it its just me more most much my of on one or our out over s she
    should so some such t than that the their them then there these they this those to too up very was we were what
    when where which while who why will with would you your
    """.split()  # noqa: SIM905 - a list would take a page
)
_LONGEST_WORD = 40  # bytes; what is longer is no word anybody types
_CHUNK = 1 << 14  # passages to a record batch
_HEAP = 256_000_000  # bytes that the writer may hold before it starts a new segment
_TEXTS = pa.schema([("url", pa.large_string()), ("passage", pa.large_string())])
_SEAL = "index.json"


class Hit(NamedTuple):
    """A passage found: its document's url, its text, its rank among the hits (from 1) and its score (BM25)."""

    url: str
    passage: str
    rank: int
    score: float


class SearchIndex(Protocol):
    """Anything that finds passages for a question."""

    def search(self, question: str, documents: int) -> list[Hit]:
        """Passages, best first, of the best `documents` documents (fewer if no more match), one or more of each."""
        ...


class TantivyIndex:
    """A sealed index in a folder: `words/` is tantivy's, `passages.arrow` the texts, `index.json` is written last.

    Text is cut at everything that is neither letter nor digit, lower-cased, and freed of English stop words. Memory is
    mapped, not read: many processes may search one folder.
    """

    def __init__(self, folder: Path) -> None:
        tantivy = _tantivy()
        if _sealed(folder) is None:
            raise TmkdError(f"{folder}: no finished search index; run collect again")
        self._analyser = _analyser(tantivy)
        self._schema = _schema(tantivy)
        try:
            index = tantivy.Index.open(str(folder / "words"))
            texts = pa.ipc.open_file(pa.memory_map(str(folder / "passages.arrow"))).read_all()
        except (ValueError, OSError, pa.ArrowInvalid) as error:
            raise TmkdError(f"{folder}: search index is damaged ({error}); remove it and run collect again") from error
        self._searcher = index.searcher()
        self._urls = texts["url"].chunks
        self._passages = texts["passage"].chunks
        self._term = tantivy.Query.term_query
        self._any = tantivy.Query.boolean_query
        self._should = tantivy.Occur.Should

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a sealed index.  Raises: TmkdError when it is unfinished, damaged, or tantivy is not installed."""
        return cls(folder)

    @classmethod
    def build(cls, folder: Path, passages: Iterable[tuple[str, str, str]], key: str = "") -> Self:
        """Index (url, title, passage) triples in order; a title's words are found as if they were the passage's.

        `key` says what the passages were made from: a folder already sealed with it is opened as it is.
        """
        if _sealed(folder) != _seal(key):
            shutil.rmtree(folder, ignore_errors=True)
            _write(folder, passages)
            write_atomic(folder / _SEAL, (json.dumps({"key": _seal(key)}) + "\n").encode())
        return cls(folder)

    def __len__(self) -> int:
        return sum(map(len, self._passages))

    def passages(self) -> Iterator[str]:
        """Every passage's text, in the order they came."""
        for chunk in self._passages:
            yield from chunk.to_pylist()

    def search(self, question: str, documents: int) -> list[Hit]:
        """Hits, best first, from the best `documents` documents; equal scores in the order the passages came.

        The question's words are looked up as they are: nothing in it is query syntax.
        """
        clean = question.encode("utf-8", "replace").decode()
        words = dict.fromkeys(self._analyser.analyze(clean))
        if not words or not len(self):
            return []
        query = self._any([(self._should, self._term(self._schema, "words", word, "freq")) for word in words])
        limit = 2 * documents
        while True:
            found = self._numbers(query, limit)
            # The tail's score may go on below the cut: passages of that score are not known to be the first of it.
            cut = found[-1][0] if len(found) == limit else 1.0
            hits: list[Hit] = []
            urls: set[str] = set()
            for score, number in found:
                if score == cut:
                    break
                url = self._urls[number // _CHUNK][number % _CHUNK].as_py()
                if url not in urls and len(urls) == documents:
                    return hits
                urls.add(url)
                passage = self._passages[number // _CHUNK][number % _CHUNK].as_py()
                hits.append(Hit(url, passage, len(hits) + 1, -score))
            if len(found) < limit or len(urls) == documents:
                return hits
            limit *= 4

    def _numbers(self, query: tantivy.Query, limit: int) -> list[tuple[float, int]]:
        """(−score, passage number) of the best `limit` passages, sorted.

        Scores are rounded: the last bits of a float sum depend on the order in which words are added up.
        """
        hits = self._searcher.search(query, limit, count=False).hits  # counting would switch pruning off
        numbers = self._searcher.fast_field_values("number", [address for _, address in hits])
        return sorted((-round(score, 4), int(number or 0)) for (score, _), number in zip(hits, numbers, strict=True))


def _tantivy() -> Any:
    try:
        import tantivy
    except ImportError as error:
        raise TmkdError("searching needs tantivy: pip install 'tmkd[collect]'") from error
    return tantivy


def _analyser(tantivy: Any) -> Any:
    make, drop = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()), tantivy.Filter
    filters = (drop.remove_long(_LONGEST_WORD), drop.lowercase(), drop.custom_stopword(list(STOP_WORDS)))
    for each in filters:
        make = make.filter(each)
    return make.build()


def _schema(tantivy: Any) -> Any:
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("words", tokenizer_name="words", index_option="freq")  # no positions: BM25 needs none
    schema.add_unsigned_field("number", fast=True)
    return schema.build()


def _write(folder: Path, passages: Iterable[tuple[str, str, str]]) -> None:
    tantivy = _tantivy()
    (folder / "words").mkdir(parents=True)
    index = tantivy.Index(_schema(tantivy), str(folder / "words"))
    index.register_tokenizer("words", _analyser(tantivy))
    writer = index.writer(_HEAP, 1)
    count = 0
    stream = iter(passages)
    with pa.OSFile(str(folder / "passages.arrow"), "wb") as file, pa.ipc.new_file(file, _TEXTS) as texts:
        while chunk := list(islice(stream, _CHUNK)):
            for _, title, passage in chunk:
                document = tantivy.Document()
                document.add_text("words", f"{title}\n{passage}")
                document.add_unsigned("number", count)
                writer.add_document(document)
                count += 1
            columns = [[url for url, _, _ in chunk], [passage for _, _, passage in chunk]]
            texts.write_batch(pa.record_batch(columns, schema=_TEXTS))
    try:
        writer.commit()
        writer.wait_merging_threads()
    except ValueError as error:
        raise TmkdError(f"{folder}: the search index cannot be written: {error}") from error


def _seal(key: str) -> str:
    """What a finished index is marked with: where its passages came from and how its words are made."""
    return digest_json([key, 1, _LONGEST_WORD, STOP_WORDS])


def _sealed(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / _SEAL).read_bytes())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
