"""The verbs before there is a run: a recipe to fill in, and what a Bi-LSTM student starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tmkd.cli.output import argument
from tmkd.errors import UsageError

err = Console(stderr=True)


def init(recipe: Annotated[Path, typer.Argument(help="The recipe to write.", show_default=False)]) -> None:
    """Write a commented recipe for your own files."""
    from importlib.resources import files

    if recipe.exists():
        raise UsageError(f"{recipe} exists already; name a new file")
    recipe.write_bytes((files("tmkd.recipe") / "template.yaml").read_bytes())
    err.print(f"wrote {recipe}: fill in your files, then: tmkd check {recipe}", highlight=False)


_VECTORS = "Text of GloVe or word2vec, .txt, .vec or a .gz of one; or spaCy's: a wheel, or a folder."
_TEXTS = (
    "Take the most frequent words of these pairs, and draw those that have no vector from a normal distribution. "
    "A name, or a source as recipes have it: '{file: train.tsv, columns: {question: ask}}'."
)


def words(
    vectors: Annotated[Path, typer.Argument(help=_VECTORS, show_default=False)],
    folder: Annotated[Path, typer.Argument(help="The folder to write: a new one.", show_default=False)],
    most: Annotated[int, typer.Option("--words", min=1, help="Take so many of the first words.")] = 150_000,
    texts: Annotated[list[str] | None, typer.Option(metavar="FILE", help=_TEXTS)] = None,
    layers: Annotated[int, typer.Option(min=1, help="Layers of each Bi-LSTM.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the fresh Bi-LSTMs, and of words that are drawn.")] = 1,
) -> None:
    """Write what a Bi-LSTM student starts from (§4.4): name the folder as `student.base`, with `layers: 2`."""
    from tmkd.data.sources import read_columns
    from tmkd.network.bilstm_start import frequent_words, write_start
    from tmkd.recipe.reader import read_source_spec

    sources = [read_source_spec("--texts", argument("--texts", text)) for text in texts or ()]
    tables = [read_columns(source, Path(), ()).select(["question", "passage"]) for source in sources]
    read = (text for table in tables for column in table.columns for text in column.to_pylist())
    vocabulary = frequent_words(read, most) if sources else None
    known, found = write_start(vectors, folder, most, layers, seed, vocabulary)
    drawn = f", {known - found:,} of them without a vector" if vocabulary else ""
    err.print(f"wrote {folder}: {known:,} words{drawn}", highlight=False, markup=False, soft_wrap=True)
