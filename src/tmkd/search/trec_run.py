"""TREC run file of a search engine (qid Q0 docid rank score tag) → top documents per question."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from tmkd.data.messages import short
from tmkd.data.utf8 import without_marks
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec


class Ranked(NamedTuple):
    """A retrieved document: id, rank and score as in the run."""

    docid: str
    rank: int
    score: float


def read_run(source: SourceSpec, base: Path, top: int) -> dict[str, list[Ranked]]:
    """Read the `top` documents of each question id, by rank; lines in any order, fields separated by white space.

    Raises: TmkdError naming file and line for a malformed line; for a missing, empty or unreadable file.
    """
    path = base / Path(source.file).expanduser()
    found: dict[str, list[Ranked]] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(without_marks(file, str(path)), 1):
                if line.strip():
                    qid, ranked = _parse(line, f"{path}: line {number}")
                    if ranked.rank <= top:  # with ranks from 0 this keeps one too many; it is cut below
                        found.setdefault(qid, []).append(ranked)
    except OSError as error:
        raise TmkdError(f"{path}: cannot be read: {error.strerror}; name a TREC run file") from error
    if not found:
        raise TmkdError(f"{path}: no line with a rank up to {top}; expected: qid Q0 docid rank score tag")
    for qid, documents in found.items():
        first = {one.docid: one for one in sorted(documents, key=lambda one: one.rank, reverse=True)}
        found[qid] = sorted(first.values(), key=lambda one: (one.rank, -one.score, one.docid))[:top]
    return found


def _parse(line: bytes, where: str) -> tuple[str, Ranked]:
    try:
        fields = line.decode().split()
        qid, _, docid, rank, score, *tag = fields
        ranked = Ranked(docid, int(rank), float(score))
        if len(tag) <= 1 and ranked.rank >= 0 and math.isfinite(ranked.score):
            return qid, ranked
    except ValueError:
        pass
    text = short(line.decode("utf-8", "replace"))
    raise TmkdError(f"{where}: '{text}' is not a line of a run; expected: qid Q0 docid rank score tag")
