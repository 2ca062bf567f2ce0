"""Rerank API: each dialect's request to its reply, over one scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tmkd.bundle.fair_queue import Logits
from tmkd.serve.dialects import Rerank, Reranking, Score, TeiPredict, TeiRerank, asks_for_array, parse
from tmkd.serve.replies import (
    log_odds,
    order,
    rerank_object,
    reranking_object,
    score_object,
    tei_array,
    tei_predictions,
)
from tmkd.serve.scorer import Scorer
from tmkd.serve.spans import best_spans

_CHARACTERS = 64  # of a token at most, where a text is cut after so many tokens


class Reranker:
    """Rerank API of a scorer; `model` is the name in replies, whatever name a request has."""

    def __init__(self, scorer: Scorer, model: str) -> None:
        self.scorer, self.model = scorer, model

    async def rerank(self, content: dict[str, Any]) -> Any:
        """/rerank: TEI's array, or the object dialects' reply.  Raises: Refusal, as all methods here do."""
        return await (self._tei(content) if asks_for_array(content) else self.rerank_object(content))

    async def _tei(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        request = parse(TeiRerank, content)
        logits, _ = await self._logits([request.query], request.texts, request.truncate is not False)
        positive = self.scorer.positive
        scores = log_odds(logits, positive) if request.raw_scores else np.exp(logits[:, positive]).tolist()
        return tei_array(scores, request.texts if request.return_text else None)

    async def rerank_object(self, content: dict[str, Any]) -> dict[str, Any]:
        """/v1/rerank and /v2/rerank."""
        request = parse(Rerank, content)
        passages = request.passages
        cut = passages
        if request.max_tokens_per_doc is not None and request.max_tokens_per_doc < self.longest:
            self.scorer.limits.check_texts([request.query], passages)
            cut = await self.scorer.call(self._first_tokens, passages, request.max_tokens_per_doc)
        scores, tokens = await self._scores([request.query], cut, request.truncation is not False)
        best = order(scores, request.top_n or request.top_k)
        spans = None
        if request.relevant_spans is not None:
            asked = request.relevant_spans
            documents = [passages[place] for place in best]
            spans, more = await best_spans(self.scorer, request.query, documents, asked.max_spans, asked.threshold)
            tokens += more
        return rerank_object(request, self.model, passages, best, scores, spans, tokens)

    async def reranking(self, content: dict[str, Any]) -> dict[str, Any]:
        """/v1/reranking."""
        request = parse(Reranking, content)
        scores, tokens = await self._scores([request.query], request.input)
        return reranking_object(request, self.model, scores, tokens)

    async def score(self, content: dict[str, Any]) -> dict[str, Any]:
        """/score."""
        queries, documents = parse(Score, content).pairs
        scores, tokens = await self._scores(queries, documents)
        return score_object(self.model, scores, tokens)

    async def predict(self, content: dict[str, Any]) -> list[Any]:
        """/predict."""
        request = parse(TeiPredict, content)
        single = isinstance(request.inputs, tuple)
        pairs: Sequence[tuple[str, str]] = [request.inputs] if isinstance(request.inputs, tuple) else request.inputs
        queries, texts = ([pair[place] for pair in pairs] for place in (0, 1))
        logits, _ = await self._logits(queries, texts, request.truncate is not False)
        found = tei_predictions(logits, self.scorer.ranker.bundle.labels.names, request.raw_scores)
        return found[0] if single else found

    @property
    def longest(self) -> int:
        """Tokens of the longest pair."""
        return self.scorer.ranker.bundle.text.max_length

    async def _logits(self, queries: Sequence[str], texts: Sequence[str], truncate: bool = True) -> tuple[Logits, int]:
        """Logits of pairs and the number of their tokens; one query goes with all texts."""
        self.scorer.limits.check_texts(queries, texts)
        questions = [*queries] * len(texts) if len(queries) == 1 else queries
        tokens = await self.scorer.tokens(questions, texts, truncate)
        return await self.scorer.logits(tokens), int(tokens.lengths.sum())

    async def _scores(
        self, queries: Sequence[str], texts: Sequence[str], truncate: bool = True
    ) -> tuple[list[float], int]:
        logits, tokens = await self._logits(queries, texts, truncate)
        return np.exp(logits[:, self.scorer.positive]).tolist(), tokens

    def _first_tokens(self, texts: Sequence[str], most: int) -> list[str]:
        """Texts cut after so many tokens, at the end of the last one."""
        tokenizer = self.scorer.ranker.tokenizer.tokenizer
        cut = []
        for text in texts:
            offsets = tokenizer.encode(text[: _CHARACTERS * most], add_special_tokens=False).offsets
            cut.append(text if len(offsets) <= most else text[: offsets[most - 1][1]])
        return cut
