"""Refusal of a request: status, word and text, written in the shape of the request's dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

Word = Literal[
    "Backend", "Empty", "Host", "Method", "NotFound", "Overloaded", "Timeout", "Unauthorized", "Unhealthy", "Validation"
]
OBJECT_PATHS = ("/v1/rerank", "/v2/rerank", "/v1/reranking", "/score", "/v1/score")


class Refusal(Exception):
    """Reply with an error: HTTP status, TEI's word of its kind, a text for people, further headers."""

    def __init__(self, status: int, word: Word, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.word, self.text = status, word, text
        self.headers = dict(headers or {})

    @classmethod
    def empty(cls, text: str) -> Self:
        """Refusal of a request that asks for nothing."""
        return cls(400, "Empty", text)

    def content(self, path: str, as_object: bool = False) -> dict[str, Any]:
        """Content of the reply in the shape of the path's dialect, or in the objects' shape."""
        if as_object or path in OBJECT_PATHS:
            error = {"message": self.text, "type": self.word, "code": self.status}
            return {"message": self.text, "detail": self.text, "error": error}
        return {"error": self.text, "error_type": self.word}
