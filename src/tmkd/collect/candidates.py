"""A question → the best passage of each of its top documents; the same function offline and online."""

from __future__ import annotations

from typing import NamedTuple

from tmkd.collect.index import SearchIndex


class Candidate(NamedTuple):
    """A passage found for a question: its document, the document's rank (from 1) and score (BM25)."""

    question: str
    passage: str
    url: str
    rank: int
    score: float


def candidates(index: SearchIndex, question: str, top: int = 10) -> list[Candidate]:
    """The top documents for a question, each with its best passage (§3.1.1); a document's score is that passage's.

    At most `top`, best first; a passage that two documents share is taken once, so no pair comes twice. Any Unicode
    question is fine; one without a word to search for has no candidates.
    """
    best: dict[str, tuple[str, float]] = {}
    passages: set[str] = set()
    for hit in index.search(question, top):
        if hit.url not in best and hit.passage not in passages:
            best[hit.url] = (hit.passage, hit.score)
            passages.add(hit.passage)
    ranked = list(best.items())[:top]
    return [Candidate(question, passage, url, rank, score) for rank, (url, (passage, score)) in enumerate(ranked, 1)]
