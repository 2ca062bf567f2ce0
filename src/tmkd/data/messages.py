"""Texts of a user's file inside messages."""

from __future__ import annotations

import json
from collections.abc import Iterable

_LONGEST = 200  # characters of a list in a message


def short(text: str, length: int = 60) -> str:
    """Shorten a text to one line, for a message."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def unlabelled_remedy(column: str, labels: Iterable[str]) -> str:
    """Say what to do with a file of which a row has no label; `labels` are the other rows' words for theirs."""
    words = json.dumps([*dict.fromkeys(labels)], ensure_ascii=False)  # YAML would take a bare no for false
    if words == "[]":
        return "as in GLUE's test sets, whose labels are not public: give the dev set"
    if len(words) > _LONGEST:  # scores, for a threshold, or long names
        return "take such rows out of the file"
    return f"take the labelled rows alone: where: {{{json.dumps(column, ensure_ascii=False)}: {words}}}"  # SNLI has "-"
