"""Replies of the rerank API's dialects, from scores in the order of the request."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from tmkd.bundle.fair_queue import Logits
from tmkd.serve.dialects import Rerank, Reranking
from tmkd.serve.spans import Span


def order(scores: Sequence[float], most: int | None = None) -> list[int]:
    """Indices by score, the best first, ties by index; at most `most`."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])[:most]


def log_odds(logits: Logits, positive: int) -> list[float]:
    """Log-odds of the positive class of each pair, from the logarithms of the probabilities."""
    others = np.delete(logits.astype(np.float64), positive, axis=1)
    return (logits[:, positive] - np.logaddexp.reduce(others, axis=1)).tolist()


def tei_array(scores: Sequence[float], texts: Sequence[str] | None) -> list[dict[str, Any]]:
    """TEI's reply to /rerank."""
    return [
        {"index": place, "score": scores[place], **({} if texts is None else {"text": texts[place]})}
        for place in order(scores)
    ]


def tei_predictions(logits: Logits, names: Sequence[str], raw: bool) -> list[list[dict[str, Any]]]:
    """TEI's reply to /predict with a list of pairs: score and label of each class, best first."""
    values = (logits if raw else np.exp(logits)).tolist()
    return [
        sorted(({"score": score, "label": name} for score, name in zip(row, names, strict=True)), key=_falling)
        for row in values
    ]


def _falling(one: dict[str, Any]) -> float:
    return -float(one["score"])


def rerank_object(
    request: Rerank,
    model: str,
    passages: Sequence[str],
    best: Sequence[int],
    scores: Sequence[float],
    spans: Sequence[Sequence[Span]] | None,
    tokens: int,
) -> dict[str, Any]:
    """Reply of the object dialects; `best` are the indices of the results, `spans` those of each result."""
    results: list[dict[str, Any]] = []
    for rank, place in enumerate(best):
        result: dict[str, Any] = {"index": place, "relevance_score": scores[place]}
        if request.return_documents is not False:
            result["document"] = {"text": passages[place]}
        if spans is not None:
            result["relevant_spans"] = [span._asdict() for span in spans[rank]]
        results.append(result)
    reply = {
        "id": _identifier("rerank"),
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "results": results,
        **_counted(tokens),
    }
    return reply | ({"data": results} if request.top_k is not None else {})


def reranking_object(request: Reranking, model: str, scores: Sequence[float], tokens: int) -> dict[str, Any]:
    """Mixedbread's reply."""
    best = order(scores, request.top_k)
    data = [
        {"index": place, "score": scores[place], "object": "rank_result"}
        | ({"input": request.input[place]} if request.return_input else {})
        for place in best
    ]
    return {
        "id": _identifier("rerank"),
        "object": "list",
        "model": model,
        "data": data,
        "top_k": len(data),
        "return_input": request.return_input,
        **_counted(tokens),
    }


def score_object(model: str, scores: Sequence[float], tokens: int) -> dict[str, Any]:
    """vLLM's reply to /score, in the order of the request."""
    data = [{"index": place, "object": "score", "score": score} for place, score in enumerate(scores)]
    return {
        "id": _identifier("score"),
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": data,
        **_counted(tokens),
    }


def _identifier(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex}"


def _counted(tokens: int) -> dict[str, Any]:
    return {
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"search_units": 1},
            "tokens": {"input_tokens": tokens},
        },
    }
