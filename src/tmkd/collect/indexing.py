"""Documents and given passages → the passage collection and its search index (§3.1.1 step 1)."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import chain, count, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.collect.documents import Deduplicator, Document, Record, records, to_document
from tmkd.collect.id_columns import with_run_ids
from tmkd.collect.passages import passages
from tmkd.data.labels import LabelSet
from tmkd.data.sources import read_source
from tmkd.data.words import count_words
from tmkd.engines.engine import Engine, PieceFiles, Work, in_order
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.schema import CollectSpec
from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Passage
from tmkd.search.trec_run import read_run
from tmkd.store import digest_json, write_atomic

Report = Callable[[int, int], None]
_CACHE_VERSION = 2  # raise it when a code change gives other texts for the same pages
CACHE = ".documents"  # hidden folder: extracted texts by the digest of their inputs; extraction is the slowest part
_PIECE_RECORDS = 64  # records per work item, at most
_PIECE_BYTES = 8_000_000  # bytes or characters at which a work item ends early


def collect_index(
    name: str,
    spec: CollectSpec,
    labels: LabelSet,
    folder: Path,
    base: Path,
    report: Report,
    engine: Engine,
    digests: dict[str, str],
) -> dict[str, object]:
    """Write and index the passages of the documents, then the given passages (each is a document of its own).

    Where a table has several id columns and the corpus has a run, the run's document ids choose one.
    `digests` maps a source's file name to the digest of its content: extracted texts are cached under it.
    Returns counts of documents, of passages, and of dropped records by reason. `report` is called with (documents
    done, 0). Raises: TmkdError for an unusable file, or when there is no passage.
    """
    facts = {"documents": 0}
    drop_counts: Counter[str] = Counter()
    caches: set[str] = set()

    found = {} if spec.run is None else read_run(spec.run, base, spec.top)
    run_ids = {one.docid for documents in found.values() for one in documents}
    deduplicator = Deduplicator(drop_counts, near=spec.near)

    def of_documents(source: SourceSpec) -> Iterator[Passage]:
        source = with_run_ids(source, base, run_ids)
        made_from = digest_json([_CACHE_VERSION, digests[f"file {source.file}"], source.model_dump(), spec.language])
        caches.add(made_from)
        for document in _documents(source, base, spec.language, folder / CACHE / made_from, drop_counts, engine):
            if deduplicator.take(document):
                facts["documents"] += 1
                report(facts["documents"], 0)
                yield from _document_passages(document, spec, drop_counts)

    numbers: Counter[str] = Counter()
    texts: set[bytes] = set()

    def given(source: SourceSpec) -> Iterator[Passage]:
        source = with_run_ids(source, base, run_ids)
        for word, url, passage in _given_rows(read_source(source, base, labels, need=("passage",))):
            numbers[word] += 1
            text = blake2b(passage.encode(), digest_size=8).digest()
            if text in texts:
                drop_counts["same passage"] += 1
            else:
                texts.add(text)
                yield Passage(url or f"{word}#{numbers[word]}", "", passage)

    streams = [*map(of_documents, spec.documents), *map(given, spec.passages)]
    facts["passages"] = len(TantivyIndex.build(folder, *streams))
    if not facts["passages"]:
        reasons = ", ".join(f"{number} × {what}" for what, number in drop_counts.items())
        raise TmkdError(f"index {name}: no passages in its documents{f' ({reasons})' if reasons else ''}")
    for old in (folder / CACHE).glob("*"):
        if old.name not in caches:
            shutil.rmtree(old)
    return {**facts, "left_out": dict(sorted(drop_counts.items()))}


def _document_passages(document: Document, spec: CollectSpec, drop_counts: Counter[str]) -> Iterator[Passage]:
    """Cut a document into passages; too short ones are dropped and counted."""
    for passage in passages(document.text, spec.words, spec.overlap):
        if count_words(passage) >= spec.shortest:
            yield Passage(document.url, document.title, passage)
        else:
            drop_counts["passages too short"] += 1


def _given_rows(table: pa.Table) -> Iterator[tuple[str, str | None, str]]:
    for batch in table.select(["source", "url", "passage"]).to_batches(max_chunksize=1 << 14):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _documents(
    source: SourceSpec, base: Path, language: str | None, cache: Path, drop_counts: Counter[str], engine: Engine
) -> Iterator[Document]:
    """Stream the documents of a file; HTML is extracted by several workers and cached in `cache`."""
    stream = records(source, base, drop_counts)
    first = next(stream, None)
    if first is None:
        return
    stream = chain([first], stream)
    if isinstance(first.content, str) and language is None:
        for record in stream:
            yield from _count_dropped(to_document(record, None), drop_counts)
        return
    cache.mkdir(parents=True, exist_ok=True)

    def pieces() -> Iterator[_ToExtract]:
        for number in count():
            piece = _piece(stream)
            if not piece:
                return
            path = _cached(cache, number)
            yield _ToExtract(path, [] if path.is_file() else piece)

    def files(piece: _ToExtract) -> PieceFiles:
        return PieceFiles(written=(piece.path,) if piece.records else ())

    work = Work(_extractor, (language,), lambda piece: piece.path.name, files)
    for number, _ in in_order(engine.map(work, pieces(), sys.maxsize)):
        for document in _read_cache(_cached(cache, number)):
            yield from _count_dropped(document, drop_counts)


def _cached(cache: Path, number: int) -> Path:
    """Path of the texts of a work item."""
    return cache / f"{number:06d}.parquet"


def _piece(stream: Iterator[Record]) -> list[Record]:
    """Take the records of the next work item."""
    piece: list[Record] = []
    size = 0
    for record in islice(stream, _PIECE_RECORDS):
        piece.append(record)
        size += len(record.content)
        if size >= _PIECE_BYTES:
            break
    return piece


def _count_dropped(document: Document | str, drop_counts: Counter[str]) -> Iterator[Document]:
    """Yield a document, or count the reason why it was dropped."""
    if isinstance(document, str):
        drop_counts[document] += 1
    else:
        yield document


class _ToExtract(NamedTuple):
    """Work item: records, none where the file of their texts is there, and the path of that file."""

    path: Path
    records: list[Record]


def _extractor(language: str | None) -> Callable[[_ToExtract], None]:
    """Build the function that extracts the texts of a work item and writes their file."""

    def extract(piece: _ToExtract) -> None:
        if piece.records:
            _write_cache(piece.path, [to_document(record, language) for record in piece.records])

    return extract


def _write_cache(path: Path, found: list[Document | str]) -> None:
    """Write the results of a work item: documents, or drop reasons in the title column (url and text null)."""
    rows = [(None, one, None) if isinstance(one, str) else one for one in found]
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, names=list(Document._fields)), sink, compression="zstd")
    write_atomic(path, sink.getvalue())


def _read_cache(path: Path) -> Iterator[Document | str]:
    table = pq.read_table(path)
    for url, title, text in zip(*(table[name].to_pylist() for name in Document._fields), strict=True):
        yield title if text is None else Document(url, title, text)
