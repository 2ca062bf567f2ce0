"""Limits of the server on what comes from outside, and the checks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tmkd.serve.refusal import Refusal

JSON_DEPTH = 200  # of the parser itself
SENTENCES = 32  # of one document that are scored for its spans


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request, of a connection, and of the queue."""

    body_bytes: int = 8 << 20
    all_bodies_bytes: int = 128 << 20  # of all requests under way
    documents: int = 1000
    characters: int = 4_000_000
    question_characters: int = 2000  # of /answer
    header_bytes: int = 64 << 10
    header_seconds: float = 10.0
    body_seconds: float = 10.0
    idle_seconds: float = 30.0
    queue_seconds: float = 2.0  # requests may wait whose tokens take so long at the measured rate

    def check_lists(self, content: Mapping[str, Any]) -> None:
        """Check the number of documents before their content is looked at.  Raises: Refusal."""
        longest = max((len(one) for one in content.values() if isinstance(one, list)), default=0)
        if longest > self.documents:
            raise Refusal(413, "Validation", f"{longest} texts are more than the limit of {self.documents}")

    def check_texts(self, questions: Sequence[str], passages: Sequence[str]) -> None:
        """Check the texts of one request.  Raises: Refusal for none, a blank question, or more than the limits."""
        if not passages or not questions:
            raise Refusal.empty("no texts: the list is empty")
        if any(not one.strip() for one in questions):
            raise Refusal.empty("the query is blank")
        characters = sum(map(len, passages)) + sum(map(len, questions))
        if characters > self.characters:
            raise Refusal(422, "Validation", f"{characters} characters are more than the limit of {self.characters}")

    def check_question(self, question: str) -> None:
        """Check a question of /answer.  Raises: Refusal for a blank or too long one."""
        if not question.strip():
            raise Refusal.empty("the question is blank")
        if len(question) > self.question_characters:
            text = f"{len(question)} characters are more than the limit of {self.question_characters} of a question"
            raise Refusal(422, "Validation", text)
