"""`tmkd rank`: lines of passages in, a ranked list out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

from tmkd.bundle.ranker import Ranker
from tmkd.errors import UsageError


def rank_lines(bundle: Path, question: str, lines: IO[bytes], top: int | None, console: Console, as_json: bool) -> None:
    """Print a bundle's ranking of the passages (a line each, UTF-8) for a question: probability, line, passage.

    Raises: UsageError when the question or all lines are empty, or a line is not UTF-8.
    """
    if not question.strip():
        raise UsageError("--question is empty")
    passages: list[str] = []
    places: list[int] = []
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError as error:
            raise UsageError(f"standard input: line {number} is not UTF-8 ({error.reason})") from None
        if text:
            passages.append(text)
            places.append(number)
    if not passages:
        raise UsageError("standard input has no passage; give one a line")
    ranked = Ranker(bundle).rank(question, passages, top, return_documents=True)
    if as_json:
        told = [{"line": places[one["corpus_id"]], "score": one["score"], "text": one["text"]} for one in ranked]
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return
    for one in ranked:
        console.print(Text(f"{one['score']:.4f}  {places[one['corpus_id']]:>4}  {one['text']}"), soft_wrap=True)
