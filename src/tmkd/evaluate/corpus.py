"""Statistics of a stage-1 corpus: sizes, lengths, ranks, sources, and questions drawn at random (§4.1)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tmkd.data.pairs import Corpus

PAIRS_SHOWN = 20  # of one example at most; a user's group may have any size


@dataclass(frozen=True, slots=True)
class Histogram:
    """Histogram of whole numbers: `counts[n]` is how many items have the value n, int64 (largest + 1,)."""

    counts: np.ndarray

    @classmethod
    def count(cls, numbers: np.ndarray) -> Histogram:
        """Count whole numbers from 0."""
        return cls(np.bincount(numbers))

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Mean value; 0 without items."""
        return float(self.counts @ np.arange(len(self.counts))) / max(self.items, 1)

    def quantile(self, share: float) -> int:
        """Smallest value that this share of the items, and at least one, does not exceed; 0 without items."""
        return int(np.searchsorted(np.cumsum(self.counts), max(share * self.items, 1)))


class Rank(NamedTuple):
    """Number of pairs found at one rank; lower quartile, median, upper quartile of the scores, or None."""

    rank: int
    pairs: int
    scores: tuple[float, float, float] | None


class Share(NamedTuple):
    """Questions and pairs of one source."""

    source: str
    questions: int
    pairs: int


class ExamplePassage(NamedTuple):
    """A passage of an example; rank, score and url are None for a pair that was given, not found by search."""

    passage: str
    rank: int | None
    score: float | None
    url: str | None


class Example(NamedTuple):
    """A question drawn at random; `pairs` is the number of its pairs, `found` has the first of them."""

    question: str
    source: str
    pairs: int
    found: tuple[ExamplePassage, ...]


@dataclass(frozen=True)
class CorpusStats:
    """Statistics of a corpus; different questions (groups), passages and documents (urls) each count once.

    `question_words` and `passage_words` are of these; `words_per_pair` has the mean words of question and passage over
    all pairs. Sources come largest first.
    """

    pairs: int
    documents: int
    question_words: Histogram
    passage_words: Histogram
    words_per_pair: tuple[float, float]
    pairs_per_question: Histogram
    ranks: tuple[Rank, ...]
    sources: tuple[Share, ...]
    examples: tuple[Example, ...]


def corpus_stats(
    corpus: Corpus, seed: int, examples: int = 50, report: Callable[[int, int], None] | None = None
) -> CorpusStats:
    """Statistics of a corpus in one pass, one shard in memory at a time; `report` gets (pairs done, of).

    Examples are the questions whose groups have the smallest hashes with this seed, a draw independent of their
    order. About 40 bytes a pair stay in memory. Words are split at white space.
    Raises: TmkdError when a shard is missing or damaged.
    """
    seen = _Columns()
    drawn = _Drawn(examples)
    for number in range(len(corpus.shards)):
        table = corpus.shard(number)
        codes, groups = _encoded(table["group"])
        hashes = _hashes(groups, b"%d" % seed)
        seen.add(table, codes, hashes)
        drawn.add(table, hashes[codes])
        if report is not None:
            report(seen.pairs, len(corpus))
    return seen.stats(drawn)


class _Drawn:
    """Pairs of the questions with the smallest hashes so far; a question once dropped cannot return."""

    def __init__(self, questions: int) -> None:
        self.questions = questions
        self.table: pa.Table | None = None
        self.hashes = np.empty(0, np.uint64)

    def add(self, table: pa.Table, hashes: np.ndarray) -> None:
        """Add the table's rows whose hash, uint64 (rows,), is among the smallest."""
        lowest = np.unique(np.concatenate([self.hashes, hashes]))[: self.questions]
        rows = np.isin(hashes, lowest)
        added = table.filter(pa.array(rows))
        if self.table is not None:
            added = pa.concat_tables([self.table, added], promote_options="default")
        hashes = np.concatenate([self.hashes, hashes[rows]])
        # Sort by question, stable within one, and keep at most PAIRS_SHOWN pairs each.
        order = np.argsort(hashes, kind="stable")
        starts = np.searchsorted(hashes[order], hashes[order])
        order = order[(np.arange(len(order)) - starts < PAIRS_SHOWN) & np.isin(hashes[order], lowest)]
        self.table, self.hashes = added.take(pa.array(order)), hashes[order]

    def examples(self, pairs: dict[int, int]) -> tuple[Example, ...]:
        """The questions drawn; `pairs` maps a hash to the number of its question's pairs."""
        if self.table is None:
            return ()
        columns = self.table.to_pydict()
        nothing = [None] * len(self.hashes)
        found = list(
            map(ExamplePassage, columns["passage"], *(columns.get(name, nothing) for name in ("rank", "score", "url")))
        )
        starts = [*np.unique(self.hashes, return_index=True)[1].tolist(), len(found)]
        return tuple(
            Example(
                columns["question"][start],
                columns["source"][start],
                pairs[int(self.hashes[start])],
                tuple(found[start:end]),
            )
            for start, end in pairwise(starts)
        )


class _Columns:
    """Statistics of the shards so far, as columns: one entry per pair, or per question and shard."""

    def __init__(self) -> None:
        self.pairs = 0
        self._columns: dict[str, list[np.ndarray]] = defaultdict(list)
        self._sources: dict[str, int] = {}
        self._source_pairs: Counter[str] = Counter()

    def add(self, table: pa.Table, codes: np.ndarray, hashes: np.ndarray) -> None:
        """Add a shard; `codes` is the index of each pair's group in `hashes`."""
        self.pairs += table.num_rows
        first = np.unique(codes, return_index=True)[1]
        passages, texts = _encoded(table["passage"])
        sources, names = _encoded(table["source"])
        known = np.array([self._sources.setdefault(name, len(self._sources)) for name in names.to_pylist()])
        self._source_pairs.update(dict(zip(names.to_pylist(), np.bincount(sources).tolist(), strict=True)))
        new: dict[str, np.ndarray] = {
            "group": hashes,
            "group pairs": np.bincount(codes),
            "group source": known[sources[first]],
            "question words": _words(table["question"].take(pa.array(first))),
            "passage": _hashes(texts),
            "passage pairs": np.bincount(passages),
            "passage words": _words(texts),
        }
        if "rank" in table.column_names:
            found = table.filter(pc.is_valid(table["rank"]))
            new["rank"] = found["rank"].to_numpy()
            new["score"] = pc.fill_null(found["score"], float("nan")).to_numpy()
            new["url"] = _hashes(_encoded(table["url"].drop_null())[1])
        for name, column in new.items():
            self._columns[name].append(column)

    def stats(self, drawn: _Drawn) -> CorpusStats:
        """Statistics over all shards."""
        groups, first, places = np.unique(self._column("group"), return_index=True, return_inverse=True)
        pairs = np.bincount(places, weights=self._column("group pairs")).astype(np.int64)
        question_words = self._column("question words")[first]
        passage_words = self._column("passage words")
        each = max(self.pairs, 1)
        words = float(question_words @ pairs) / each, float(passage_words @ self._column("passage pairs")) / each
        asked = np.bincount(self._column("group source")[first], minlength=len(self._sources)).tolist()
        shares = [Share(name, asked[code], self._source_pairs[name]) for name, code in self._sources.items()]
        return CorpusStats(
            pairs=self.pairs,
            documents=len(np.unique(self._column("url"))),
            question_words=Histogram.count(question_words),
            passage_words=Histogram.count(passage_words[np.unique(self._column("passage"), return_index=True)[1]]),
            words_per_pair=words,
            pairs_per_question=Histogram.count(pairs),
            ranks=_ranks(self._column("rank"), self._column("score", np.float32)),
            sources=tuple(sorted(shares, key=lambda share: (-share.questions, -share.pairs, share.source))),
            examples=drawn.examples(dict(zip(groups.tolist(), pairs.tolist(), strict=True))),
        )

    def _column(self, name: str, kind: type = np.int64) -> np.ndarray:
        return np.concatenate(self._columns.get(name) or [np.empty(0, kind)])


def _ranks(ranks: np.ndarray, scores: np.ndarray) -> tuple[Rank, ...]:
    found = []
    for rank in np.unique(ranks).tolist():
        own = scores[ranks == rank]
        known = own[~np.isnan(own)]
        low, median, high = np.percentile(known, (25, 50, 75)).tolist() if len(known) else (0.0, 0.0, 0.0)
        found.append(Rank(rank, len(own), (low, median, high) if len(known) else None))
    return tuple(found)


def _encoded(texts: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Dictionary encoding: the code of each text, int32, and the distinct texts in order of appearance."""
    encoded = texts.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary


def _hashes(texts: pa.Array, key: bytes = b"") -> np.ndarray:
    """64-bit hash of each text, the same on every machine, uint64."""
    digests = [blake2b(text, digest_size=8, key=key).digest() for text in texts.cast(pa.binary()).to_pylist()]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _words(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Words per text, int32; texts have no white space at their ends and are not empty."""
    return pc.list_value_length(pc.utf8_split_whitespace(texts)).to_numpy()
