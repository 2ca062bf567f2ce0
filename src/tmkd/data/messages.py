"""Texts of a user's file inside messages."""

from __future__ import annotations


def short(text: str, length: int = 60) -> str:
    """Shorten a text to one line, for a message."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
