"""The verbs on a bundle: rank passages with it, and time it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from tmkd.cli.output import argument, print_json
from tmkd.data.utf8 import without_marks
from tmkd.errors import UsageError

Bundle = Annotated[Path, typer.Argument(help="The folder of a bundle.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def rank(
    bundle: Bundle,
    question: Annotated[str, typer.Option(help="The question.", show_default=False)],
    top: Annotated[int | None, typer.Option(min=1, help="Print only so many.")] = None,
    json_: Json = False,
) -> None:
    """Rank passages, one a line on standard input, by how likely they answer a question."""
    question = argument("--question", question)
    if not question.strip():
        raise UsageError("--question is empty")
    passages: list[str] = []
    places: list[int] = []
    for number, line in enumerate(without_marks(sys.stdin.buffer, "standard input"), start=1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError as error:
            raise UsageError(f"standard input: line {number} is not UTF-8 ({error.reason})") from None
        if text:
            passages.append(text)
            places.append(number)
    if not passages:
        raise UsageError("standard input has no passage; give one a line")
    from tmkd.bundle import Ranker

    ranked = Ranker(bundle).rank(question, passages, top, return_documents=True)
    if json_:
        entries = [{"line": places[one["corpus_id"]], "score": one["score"], "text": one["text"]} for one in ranked]
        print_json(json.dumps(entries, ensure_ascii=False, indent=1))
        return
    for one in ranked:
        Console().print(Text(f"{one['score']:.4f}  {places[one['corpus_id']]:>4}  {one['text']}"), soft_wrap=True)


def bench(
    bundle: Bundle,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another bundle, a student or a classifier of transformers to time beside it. Repeatable."),
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Pairs a call. Repeatable.", show_default="1, 10, 64")] = None,
    length: Annotated[
        list[int] | None, typer.Option(help="Token ids a pair. Repeatable.", show_default="32, 64, 128")
    ] = None,
    threads: Annotated[list[int] | None, typer.Option(help="Repeatable.", show_default="all cores")] = None,
    calls: Annotated[int, typer.Option(min=1, help="Calls per cell.")] = 100,
    seconds: Annotated[float, typer.Option(help="Stop a cell's calls after so long.")] = 5.0,
    json_: Json = False,
) -> None:
    """Time a bundle: pairs/s and milliseconds a call, text in to scores out, on pairs of random words."""
    from tmkd.cli.show import show_points
    from tmkd.evaluate.bench import bench as measured

    points = measured(
        bundle, against or [], batch or [1, 10, 64], length or [32, 64, 128], threads or [], calls, seconds
    )
    show_points(list(points), Console(), json_)
