"""Exchange with a client's script: its task as JSON on standard input, the rankings it got on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple


class Task(NamedTuple):
    """Server's address without a slash at the end, question, documents."""

    url: str
    question: str
    documents: list[str]


def read_task() -> Task:
    """Read the task."""
    return Task(**json.load(sys.stdin))


def write_rankings(rankings: dict[str, Iterable[tuple[int, float]]], **more: Any) -> None:
    """Write (index, score) of each call's results, in order, and whatever else the client got."""
    print(json.dumps({"rankings": {call: list(ranking) for call, ranking in rankings.items()}, **more}))
