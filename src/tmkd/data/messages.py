"""Texts of a user's file inside messages."""

from __future__ import annotations

from collections.abc import Iterable

_FEW = 10  # words that a message lists


def short(text: str, length: int = 60) -> str:
    """Shorten a text to one line, for a message."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def unlabelled_remedy(column: str, labels: Iterable[str]) -> str:
    """Say what to do with a file of which a row has no label; `labels` are the other rows' words for theirs."""
    words = dict.fromkeys(short(word, 20) for word in labels)
    if len(words) > _FEW:  # scores, for a threshold
        return "take such rows out of the file"
    if words:  # SNLI marks a pair without a majority by "-"
        return f"take the labelled rows alone: where: {{{column}: [{', '.join(words)}]}}"
    return "as in GLUE's test sets, whose labels are not public: give the dev set"
