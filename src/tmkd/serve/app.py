"""Application: the paths of docs/serve.md over what one process serves."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

import tmkd
from tmkd.serve.dialects import read_json
from tmkd.serve.metrics import Metrics
from tmkd.serve.openapi import describe
from tmkd.serve.refusal import OBJECT_PATHS, Refusal, Word
from tmkd.serve.request_body import Bodies, while_connected
from tmkd.serve.served import Served
from tmkd.serve.static_files import page_files

_log = logging.getLogger("tmkd.serve")
_WORDS: dict[int, Word] = {404: "NotFound", 405: "Method"}
Work = Callable[[dict[str, Any]], Awaitable[Any]]


class Readiness:
    """Whether the server takes requests: not before it is warm, and no longer while it drains."""

    ready = False


def make_app(served: Served, metrics: Metrics, readiness: Readiness) -> FastAPI:
    """Make the application. The gate (host, token, content type) stands before it."""
    app = FastAPI(title="tmkd", version=tmkd.__version__, docs_url=None, redoc_url=None, openapi_url=None)
    reranker, bodies = served.reranker, Bodies(served.limits)

    async def posted(request: Request, work: Work) -> Response:
        """Reply to a POST: its JSON given to some work, which ends when the client goes away."""
        path, content = request.url.path, {}
        try:
            async with bodies.read(request) as body:
                content = read_json(body)
                served.limits.check_lists(content)
                return json_response(await while_connected(request, _awaited(work(content))))
        except Refusal as refusal:
            return refused(refusal, path, as_object=path == "/rerank" and "documents" in content)
        except ClientDisconnect:
            metrics.withdrawn.inc()
            return Response(status_code=499)

    @app.post("/rerank")
    async def rerank(request: Request) -> Response:
        return await posted(request, reranker.rerank)

    @app.post("/v1/rerank")
    @app.post("/v2/rerank")
    async def rerank_object(request: Request) -> Response:
        return await posted(request, reranker.rerank_object)

    @app.post("/v1/reranking")
    async def reranking(request: Request) -> Response:
        return await posted(request, reranker.reranking)

    @app.post("/score")
    @app.post("/v1/score")
    async def score(request: Request) -> Response:
        return await posted(request, reranker.score)

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        return await posted(request, reranker.predict)

    @app.get("/answer")
    async def answer(request: Request) -> Response:
        try:
            return json_response(await while_connected(request, _answered(served, metrics, request)))
        except Refusal as refusal:
            return refused(refusal, "/answer")
        except ClientDisconnect:
            metrics.withdrawn.inc()
            return Response(status_code=499)

    @app.get("/health")
    @app.get("/health/ready")
    async def ready() -> Response:
        if readiness.ready:
            return json_response({"status": "ready"})
        return refused(Refusal(503, "Unhealthy", "not ready"), "/health")

    @app.get("/health/live")
    async def live() -> Response:
        return json_response({"status": "live"})

    @app.get("/info")
    async def info() -> Response:
        return json_response(served.info())

    @app.get("/metrics")
    async def measured() -> Response:
        metrics.collect(served.scorer, served.answerer)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json")
    async def openapi() -> Response:
        return json_response(describe(served.limits))

    for path, reply in page_files().items():
        app.add_route(path, _always(reply), methods=["GET"], include_in_schema=False)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        word = _WORDS.get(error.status_code, "Validation")
        refusal = Refusal(error.status_code, word, str(error.detail), error.headers)
        return refused(refusal, request.url.path)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        _log.error("%s failed", request.url.path, exc_info=error)
        return refused(Refusal(500, "Backend", "the server failed; its log says why"), request.url.path)

    return app


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


async def _answered(served: Served, metrics: Metrics, request: Request) -> dict[str, Any]:
    """Reply of /answer.  Raises: Refusal for a question that is none, and without an index."""
    question = request.query_params.get("q", "")
    served.limits.check_question(question)
    if served.answerer is None:
        raise Refusal(503, "Unhealthy", "this server has no index to answer from; start it with --index or a recipe")
    reply = await served.answerer.reply(
        question,
        _switch(request, "best_sentence"),
        _milliseconds(request.query_params.get("deadline_ms")),
        _switch(request, "teachers"),
    )
    metrics.answers(reply["route"]).inc()
    metrics.unranked.inc(reply["candidates"] - reply["ranked"])
    return reply


def _switch(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in ("true", "false", "1", "0"):
        raise Refusal(422, "Validation", f"{name}: true or false")
    return text in ("true", "1")


def _milliseconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 60_000:
        raise Refusal(422, "Validation", "deadline_ms: a number of milliseconds, above 0 and at most 60000")
    return value


def _always(reply: Response) -> Callable[[Request], Awaitable[Response]]:
    async def given(_: Request) -> Response:
        return reply

    return given


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON reply."""
    return Response(to_json(content), status, headers, "application/json")


def refused(refusal: Refusal, path: str, as_object: bool = False) -> Response:
    """Reply of a refusal in the shape of the path's dialect."""
    return json_response(refusal.content(path, as_object), refusal.status, refusal.headers)


def routes() -> tuple[str, ...]:
    """Paths that metrics name; all others are one."""
    return (
        *OBJECT_PATHS, "/rerank", "/predict", "/answer", "/health", "/health/ready", "/health/live", "/info",
        "/metrics", "/openapi.json", "/", "/page.css", "/page.js", "/icon.svg",
    )  # fmt: skip
