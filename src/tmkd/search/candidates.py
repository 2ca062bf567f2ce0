"""Candidate retrieval: a question → the best passage of each of its top documents; used offline and online."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tmkd.data.sampling import exponential
from tmkd.search.index import Hit, SearchIndex
from tmkd.store import digest_bytes


class Candidate(NamedTuple):
    """A retrieved passage of a question: url of its document, the document's rank (from 1), BM25 score, its number."""

    question: str
    passage: str
    url: str
    rank: int
    score: float
    number: int


def candidates(index: SearchIndex, question: str, top: int = 10) -> list[Candidate]:
    """Retrieve the top documents of a question, each with its best passage and that passage's score (§3.1.1).

    At most `top`, best first; of documents that share a passage only the first is kept, so pairs are distinct. Accepts
    any Unicode; a question without searchable words has no candidates.
    """
    best = distinct(index.search(question, top))[:top]
    return [Candidate(question, hit.passage, hit.url, rank, hit.score, hit.number) for rank, hit in enumerate(best, 1)]


def distinct(hits: Iterable[Hit]) -> list[Hit]:
    """Keep the first hit of each document, and only if its passage is new."""
    kept: dict[str, Hit] = {}
    passages: set[str] = set()
    for hit in hits:
        if hit.url not in kept and hit.passage not in passages:
            kept[hit.url] = hit
            passages.add(hit.passage)
    return list(kept.values())


def draw(found: list[Candidate], keep: int, seed: int) -> list[Candidate]:
    """Sample `keep` candidates without replacement, with probabilities proportional to 1/rank, in rank order.

    The sample is a function of seed, question and ranks alone.
    """

    def sampling_key(one: Candidate) -> float:
        digest = digest_bytes(f"{seed} {one.rank} {one.question}".encode("utf-8", "surrogatepass"))
        return exponential(digest) * one.rank

    return sorted(sorted(found, key=sampling_key)[:keep], key=lambda one: one.rank)
