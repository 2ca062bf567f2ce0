"""TSV → rows of fields: without quoting, as in GLUE and MS MARCO, or with CSV's, as pandas and DPR write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def tsv_rows(lines: Iterable[str], sample: int | None = None) -> Iterator[list[str]]:
    """Split lines into fields at tabs; CSV's quotation marks are taken off where all of the first `sample` lines' are.

    They are CSV's if each field that has some is wholly inside them, and the header is, or some are doubled within.
    """
    rows = (line.split("\t") for line in lines)
    first = list(islice(rows, sample))
    quoted = _is_quoted(first)
    for row in chain(first, rows):
        yield [*map(_unquoted, row)] if quoted else row


def _is_quoted(rows: list[list[str]]) -> bool:
    fields = [field for row in rows for field in row if '"' in field]
    return all(map(_QUOTED.fullmatch, fields)) and (
        any('""' in field[1:-1] for field in fields) or bool(fields and fields[: len(rows[0])] == rows[0])
    )


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if _QUOTED.fullmatch(field) else field
