"""Documents and passages given → the passages that questions are searched in, and their index (§3.1.1 step 1)."""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.collect.documents import Distinct, Document, Record, records, to_document
from tmkd.collect.passages import passages
from tmkd.data.labels import LabelSet
from tmkd.data.sources import read_source
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.schema import CollectSpec
from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Passage
from tmkd.store import digest_json, write_atomic
from tmkd.workers import map_in_processes

Report = Callable[[int, int], None]
_FORM = 1  # of documents: raised when the same pages give other texts than before
CACHE = ".documents"  # hidden: the texts of pages, by what they were read from; reading a page again takes longest
_AT_ONCE = 64  # records to a piece of work at most
_LARGE = 8_000_000  # bytes or characters of records that are a piece of work however few they are


def collect_index(
    name: str,
    gather: CollectSpec,
    labels: LabelSet,
    folder: Path,
    base: Path,
    report: Report,
    processes: int,
    digests: dict[str, str],
) -> dict[str, Any]:
    """Write every passage of the documents, then those given as such (each its own document), and index them.

    `digests` maps a source's file name to its content's digest: texts taken from pages before are not taken again.
    Returns counts: documents read, left out and why, passages. `report` hears (documents done, 0).
    Raises: TmkdError for a file that cannot be used, or when there is no passage.
    """
    facts: dict[str, Any] = {"documents": 0}
    told: Counter[str] = Counter()
    caches: set[str] = set()

    distinct = Distinct(told, near=gather.near)

    def of_documents(source: SourceSpec) -> Iterator[Passage]:
        made_from = digest_json([_FORM, digests[f"file {source.file}"], source.model_dump(), gather.language])
        caches.add(made_from)
        for document in _documents(source, base, gather.language, folder / CACHE / made_from, told, processes):
            if distinct.take(document):
                facts["documents"] += 1
                report(facts["documents"], 0)
                yield from _cut(document, gather, told)

    numbers: Counter[str] = Counter()
    texts: set[bytes] = set()

    def given(source: SourceSpec) -> Iterator[Passage]:
        for word, url, passage in _rows(read_source(source, base, labels, need=("passage",))):
            numbers[word] += 1
            text = blake2b(passage.encode(), digest_size=8).digest()
            if text in texts:
                told["same passage"] += 1
            else:
                texts.add(text)
                yield Passage(url or f"{word}#{numbers[word]}", "", passage)

    streams = [*map(of_documents, gather.documents), *map(given, gather.passages)]
    facts["passages"] = len(TantivyIndex.build(folder, *streams))
    if not facts["passages"]:
        reasons = ", ".join(f"{number} × {what}" for what, number in told.items())
        raise TmkdError(f"index {name}: no passages in its documents{f' ({reasons})' if reasons else ''}")
    for old in (folder / CACHE).glob("*"):
        if old.name not in caches:
            shutil.rmtree(old)
    return {**facts, "left_out": dict(sorted(told.items()))}


def _cut(document: Document, gather: CollectSpec, told: Counter[str]) -> Iterator[Passage]:
    """A document's passages of enough words."""
    for passage in passages(document.text, gather.words, gather.overlap):
        if len(passage.split()) >= gather.shortest:
            yield Passage(document.url, document.title, passage)
        else:
            told["passages too short"] += 1


def _rows(table: pa.Table) -> Iterator[tuple[str, str | None, str]]:
    for batch in table.select(["source", "url", "passage"]).to_batches(max_chunksize=1 << 14):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _documents(
    source: SourceSpec, base: Path, language: str | None, cache: Path, told: Counter[str], processes: int
) -> Iterator[Document]:
    """The documents of a file; pages, whose reading is dear, in several processes and kept in `cache`."""
    stream = records(source, base, told)
    first = next(stream, None)
    if first is None:
        return
    stream = chain([first], stream)
    if isinstance(first.content, str) and language is None:
        for record in stream:
            yield from _told(to_document(record, None), told)
        return
    cache.mkdir(parents=True, exist_ok=True)
    paths: deque[Path] = deque()

    def pieces() -> Iterator[list[Record] | None]:
        for number in count():
            piece = _piece(stream)
            if not piece:
                return
            paths.append(cache / f"{number:06d}.parquet")
            yield None if paths[-1].is_file() else piece

    for found in map_in_processes(_reader, (language,), pieces(), processes):
        path = paths.popleft()
        if found is not None:
            _keep(path, found)
        for document in _kept(path):
            yield from _told(document, told)


def _piece(stream: Iterator[Record]) -> list[Record]:
    """The next records, as many as one piece of work is to have."""
    piece: list[Record] = []
    size = 0
    for record in islice(stream, _AT_ONCE):
        piece.append(record)
        size += len(record.content)
        if size >= _LARGE:
            break
    return piece


def _told(document: Document | str, told: Counter[str]) -> Iterator[Document]:
    """The document, or nothing, its reason counted."""
    if isinstance(document, str):
        told[document] += 1
    else:
        yield document


def _reader(language: str | None) -> Callable[[list[Record] | None], list[Document | str] | None]:
    def read(piece: list[Record] | None) -> list[Document | str] | None:
        return None if piece is None else [to_document(record, language) for record in piece]

    return read


def _keep(path: Path, found: list[Document | str]) -> None:
    """Write what some records gave: a document, or in its place the reason why not (url and text null)."""
    rows = [(None, one, None) if isinstance(one, str) else one for one in found]
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, names=list(Document._fields)), sink, compression="zstd")
    write_atomic(path, sink.getvalue())


def _kept(path: Path) -> Iterator[Document | str]:
    table = pq.read_table(path)
    for url, title, text in zip(*(table[name].to_pylist() for name in Document._fields), strict=True):
        yield title if text is None else Document(url, title, text)
