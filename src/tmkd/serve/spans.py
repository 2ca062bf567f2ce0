"""Spans of documents: the sentences that answer a question best, scored by the student."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from tmkd.collect.passages import sentences
from tmkd.serve.limits import SENTENCES
from tmkd.serve.scorer import Scorer


class Span(NamedTuple):
    """Span of a document in Unicode code points, `end` excluded, and its score."""

    start: int
    end: int
    score: float


def sentence_places(text: str) -> list[tuple[int, int]]:
    """Start and end, in code points, of each of a document's first SENTENCES sentences, without the space around."""
    places = []
    start = len(text) - len(text.lstrip())
    for sentence in islice(sentences(text), SENTENCES):
        places.append((start, start + len(sentence.rstrip())))
        start += len(sentence)
    return places


async def best_spans(
    scorer: Scorer, question: str, documents: Sequence[str], most: int = 1, threshold: float = 0.0
) -> tuple[list[list[Span]], int]:
    """Spans of each document, best first: at most `most`, of at least the threshold; and the number of tokens scored.

    The first sentences of all documents are scored until their number reaches the limit of documents of a request: the
    documents after have no spans. Raises: Refusal when the queue is full.
    """
    places = [sentence_places(one) for one in documents]
    pairs = [(number, place) for number, its in enumerate(places) for place in its][: scorer.limits.documents]
    if not pairs:
        return [[] for _ in documents], 0
    texts = [documents[number][start:end] for number, (start, end) in pairs]
    tokens = await scorer.tokens([question] * len(texts), texts)
    found: list[list[Span]] = [[] for _ in documents]
    for (number, place), score in zip(pairs, await scorer.scores(tokens), strict=True):
        if score >= threshold:
            found[number].append(Span(*place, score))
    best = [sorted(its, key=lambda span: -span.score)[:most] for its in found]
    return best, int(tokens.lengths.sum())
