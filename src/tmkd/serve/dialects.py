"""Dialects of the rerank API: the requests of TEI, Cohere, Jina, vLLM, Voyage, Mixedbread and Dify, as pydantic models.

Fields that a model does not list are accepted and have no effect.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from tmkd.serve.limits import JSON_DEPTH
from tmkd.serve.refusal import Refusal

Text = Annotated[str, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(ge=1)]
_TEI_SWITCHES = ("return_text", "raw_scores", "truncate", "truncation_direction")


class Request(BaseModel):
    """Request of a dialect."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Model = TypeVar("Model", bound=Request)


class TeiRerank(Request):
    """TEI's /rerank with `texts`: an array of index and score."""

    query: Text
    texts: list[Text]
    raw_scores: Switch = False
    return_text: Switch = False
    truncate: Switch | None = None
    truncation_direction: Literal["right", "Right"] = "right"


class TeiPredict(Request):
    """TEI's /predict: a pair, or a list of pairs."""

    inputs: tuple[Text, Text] | list[tuple[Text, Text]]
    raw_scores: Switch = False
    truncate: Switch | None = None
    truncation_direction: Literal["right", "Right"] = "right"


class SpanSettings(Request):
    """Settings of `relevant_spans`: the least score, and the most spans, of each document."""

    threshold: float = Field(0.1, ge=0, le=1)
    max_spans: int = Field(1, ge=1)


class Rerank(Request):
    """Object dialects of /rerank, /v1/rerank and /v2/rerank: Cohere's, Jina's, vLLM's, Voyage's and Dify's."""

    query: Text
    documents: list[Text | dict[str, Any]] | None = None
    texts: list[Text] | None = None
    top_n: Count | None = None
    top_k: Count | None = None
    return_documents: Switch | None = None
    rank_fields: list[Text] | None = None
    max_tokens_per_doc: Count | None = None
    truncation: Switch | None = None
    relevant_spans: SpanSettings | None = None

    @property
    def passages(self) -> list[str]:
        """Texts to rank.  Raises: Refusal without documents, or for one without text."""
        given = self.documents if self.documents is not None else self.texts
        if given is None:
            raise Refusal(422, "Validation", "documents: Field required")
        return [self._text(place, one) for place, one in enumerate(given)]

    def _text(self, place: int, document: str | dict[str, Any]) -> str:
        if isinstance(document, str):
            return document
        fields = self.rank_fields or ["text"]
        texts = [str(document[name]) for name in fields if name in document]
        if not texts:
            raise Refusal(422, "Validation", f"documents.{place}: has no {' or '.join(fields)}")
        return "\n".join(texts)


class Reranking(Request):
    """Mixedbread's /v1/reranking."""

    query: Text
    input: list[Text]
    top_k: Count | None = None
    return_input: Switch = False


class Score(Request):
    """vLLM's /score: one query and one document, one and many, or equally many."""

    queries: Text | list[Text] | None = None
    documents: Text | list[Text] | None = None
    text_1: Text | list[Text] | None = None
    text_2: Text | list[Text] | None = None

    @property
    def pairs(self) -> tuple[list[str], list[str]]:
        """Queries and documents, equally many.  Raises: Refusal when their numbers do not go together."""
        first = self.queries if self.queries is not None else self.text_1
        second = self.documents if self.documents is not None else self.text_2
        if first is None or second is None:
            raise Refusal(422, "Validation", "queries and documents: Field required")
        queries, documents = ([one] if isinstance(one, str) else one for one in (first, second))
        if len(queries) == 1:
            queries = queries * len(documents)
        if len(queries) != len(documents):
            raise Refusal(422, "Validation", f"{len(queries)} queries do not go with {len(documents)} documents")
        return queries, documents


def parse(kind: type[Model], content: Any) -> Model:
    """Request of a dialect from the JSON's content.  Raises: Refusal naming the first field that is wrong."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Refusal(422, "Validation", f"{place}: {first['msg']}" if place else first["msg"]) from None


def read_json(body: bytes) -> dict[str, Any]:
    """JSON object of a body.  Raises: Refusal when it is none, or is deeper than JSON_DEPTH."""
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        deep = "recursion limit" in str(error)
        text = f"JSON deeper than the limit of {JSON_DEPTH}" if deep else f"not JSON: {error}"
        raise Refusal(422, "Validation", text) from None
    if not isinstance(content, dict):
        raise Refusal(422, "Validation", "not a JSON object")
    return content


def asks_for_array(content: dict[str, Any]) -> bool:
    """Whether a body sent to /rerank is TEI's: it has `texts`, and is not Dify's, which has `top_n` beside them.

    A body with `top_n` is still TEI's when it has one of the switches that TEI alone knows.
    """
    if "texts" not in content or "documents" in content:
        return False
    return "top_n" not in content or any(name in content for name in _TEI_SWITCHES)
