"""The verb that hands a corpus and its scores over to other tools: tmkd handover."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tmkd.cli.options import All, Changes, Part, RecipeFile, Runs, err, open_run


def handover(
    recipe: RecipeFile,
    corpus: Annotated[str, typer.Argument(help="A corpus of the recipe: web, TASK/train, …", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="The folder to write: a new or an empty one.", show_default=False)],
    layout: Annotated[
        Literal["sentence-transformers", "flagembedding"],
        typer.Option(metavar="LAYOUT", help="sentence-transformers or flagembedding."),
    ] = "sentence-transformers",
    teachers: Annotated[
        str | None, typer.Option(metavar="T1,T2", help="Whose mean to take; all that have scored it if none are named.")
    ] = None,
    set_: Changes = None,
    runs: Runs = "runs",
    all_: All = False,
) -> None:
    """Write a corpus and its teachers' scores as a data set that sentence-transformers or FlagEmbedding trains on."""
    from tmkd.export.datasets import hand_over

    run = open_run(recipe, set_, runs, Part(everything=all_))
    columns = run.scored(corpus, tuple(teachers.split(",")) if teachers else ())
    counts = hand_over(run.corpus(corpus), columns, folder, layout)
    counted = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in counts.items() if number)
    names = ", ".join(one.name for one in columns)
    err.print(f"wrote {folder}, the mean of {names}: {counted}", highlight=False, markup=False, soft_wrap=True)
