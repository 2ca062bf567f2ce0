"""The verbs before there is a run: a recipe to fill in, and what a Bi-LSTM student starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tmkd.errors import UsageError

err = Console(stderr=True)


def init(recipe: Annotated[Path, typer.Argument(help="The recipe to write.", show_default=False)]) -> None:
    """Write a commented recipe for your own files."""
    from importlib.resources import files

    if recipe.exists():
        raise UsageError(f"{recipe} exists already; name a new file")
    recipe.write_bytes((files("tmkd.recipe") / "template.yaml").read_bytes())
    err.print(f"wrote {recipe}: fill in your files, then: tmkd check {recipe}", highlight=False)


def words(
    vectors: Annotated[Path, typer.Argument(help="GloVe or word2vec text, .txt or .txt.gz.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="The folder to write: a new one.", show_default=False)],
    most: Annotated[int, typer.Option("--words", min=1, help="Take so many of the file's first words.")] = 150_000,
    layers: Annotated[int, typer.Option(min=1, help="Layers of each Bi-LSTM.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the fresh Bi-LSTMs.")] = 1,
) -> None:
    """Write what a Bi-LSTM student starts from (§4.4): name the folder as `student.base`, with `layers: 2`."""
    from tmkd.network.bilstm_start import write_start

    known = write_start(vectors, folder, most, layers, seed)
    err.print(f"wrote {folder}: {known:,} words", highlight=False, markup=False, soft_wrap=True)
