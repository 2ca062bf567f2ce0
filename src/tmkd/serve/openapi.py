"""OpenAPI 3.1 description of the server, from the dialects' models and the shapes of the replies."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

import tmkd
from tmkd.serve.dialects import Request, Rerank, Reranking, Score, TeiPredict, TeiRerank
from tmkd.serve.limits import Limits

_MODELS: tuple[type[Request], ...] = (TeiRerank, TeiPredict, Rerank, Reranking, Score)
Schema = dict[str, Any]

_TEXT, _NUMBER, _COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
_SCORE = {"type": "number", "minimum": 0, "maximum": 1}


def describe(limits: Limits) -> dict[str, Any]:
    """OpenAPI description."""
    _, found = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    rerank = {"anyOf": [_named("TeiRerank"), _named("Rerank")]}
    either = {"anyOf": [_named("TeiArray"), _named("RerankReply")]}
    posts = {
        "/rerank": (rerank, either),
        "/v1/rerank": (_named("Rerank"), _named("RerankReply")),
        "/v2/rerank": (_named("Rerank"), _named("RerankReply")),
        "/v1/reranking": (_named("Reranking"), _named("RerankingReply")),
        "/score": (_named("Score"), _named("ScoreReply")),
        "/v1/score": (_named("Score"), _named("ScoreReply")),
        "/predict": (_named("TeiPredict"), _named("Predictions")),
    }
    paths: Schema = {path: {"post": _operation(reply, body)} for path, (body, reply) in posts.items()}
    paths["/answer"] = {"get": _operation(_named("AnswerReply")) | {"parameters": _parameters(limits)}}
    for path in ("/health", "/health/ready", "/health/live", "/info"):
        paths[path] = {"get": _operation({"type": "object"})}
    paths["/metrics"] = {"get": _operation(_TEXT, kind="text/plain")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "tmkd", "version": tmkd.__version__},
        "paths": paths,
        "components": {"schemas": {**found["$defs"], **_REPLIES}},
    }


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _parameters(limits: Limits) -> list[Schema]:
    question = _TEXT | {"minLength": 1, "maxLength": limits.question_characters}
    milliseconds = {"type": "number", "exclusiveMinimum": 0, "maximum": 60_000}
    switch = {"type": "boolean"}
    given = {"q": question, "best_sentence": switch, "teachers": switch, "deadline_ms": milliseconds}
    return [{"name": name, "in": "query", "required": name == "q", "schema": kind} for name, kind in given.items()]


def _operation(reply: Schema, body: Schema | None = None, kind: str = "application/json") -> Schema:
    error = {"description": "an error", "content": {"application/json": {"schema": _named("Error")}}}
    operation: Schema = {
        "responses": {"200": {"description": "the reply", "content": {kind: {"schema": reply}}}, "default": error}
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


_TOKENS = {"prompt_tokens": _COUNT, "total_tokens": _COUNT}
_COUNTED = {"usage": _object(**_TOKENS), "meta": _object(billed_units={"type": "object"}, tokens={"type": "object"})}
_HEAD = {"id": _TEXT, "object": {"const": "list"}, "model": _TEXT}
_PREDICTION = _array(_object(label=_TEXT, score=_NUMBER))
_REPLIES: dict[str, Schema] = {
    "Error": {"anyOf": [_object(error=_TEXT, error_type=_TEXT), _object(message=_TEXT, error={"type": "object"})]},
    "TeiArray": _array(_object(index=_COUNT, score=_NUMBER)),
    "Predictions": {"anyOf": [_PREDICTION, _array(_PREDICTION)]},
    "RerankReply": _object(
        **_HEAD, created=_COUNT, results=_array(_object(index=_COUNT, relevance_score=_SCORE)), **_COUNTED
    ),
    "RerankingReply": _object(**_HEAD, data=_array(_object(index=_COUNT, score=_SCORE)), **_COUNTED),
    "ScoreReply": _object(**_HEAD, data=_array(_object(index=_COUNT, score=_SCORE)), **_COUNTED),
    "AnswerReply": _object(
        question=_TEXT,
        route={"enum": ["head", "tail", "cache"]},
        answers=_array(_object(passage=_TEXT, score={"type": ["number", "null"]}, ranked={"type": "boolean"})),
        candidates=_COUNT,
        ranked=_COUNT,
        milliseconds={"type": "object"},
    ),
}
