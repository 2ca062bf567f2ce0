"""Markdown: tables, and texts in which no character is markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#])")


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, the first column on the left and the others on the right."""
    ruled = [[markdown_text(column) for column in columns], ["---", *["---:"] * (len(columns) - 1)]]
    return "\n".join(
        f"| {' | '.join(row)} |" for row in [*ruled, *([markdown_text(cell) for cell in row] for row in rows)]
    )


def markdown_text(value: str) -> str:
    """A text on one line in which no character is Markdown's or HTML's."""
    return _SPECIAL.sub(r"\\\1", " ".join(value.split())).replace("&", "&amp;")
