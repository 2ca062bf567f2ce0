"""The verb that serves: what a recipe's run or a bundle's folder has to offer, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tmkd.cli.options import Runs, run_place
from tmkd.errors import UsageError

if TYPE_CHECKING:
    from tmkd.serve.served import Places

TOKEN = "TMKD_TOKEN"
err = Console(stderr=True)


def serve(
    what: Annotated[Path, typer.Argument(help="A recipe, a YAML file, or the folder of a bundle.", show_default=False)],
    index: Annotated[Path | None, typer.Option(help="With a bundle: the folder of a search index.")] = None,
    lookup: Annotated[str | None, typer.Option(help="With a bundle: the look-up store, a folder or a URL.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with its share of the cores. Linux.")] = 1,
    host_name: Annotated[
        list[str] | None, typer.Option(help="A name that requests may have in Host. Repeatable.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="An origin whose pages may read replies, https://… Repeatable.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help=f"A file with the token that requests need; or the variable {TOKEN}.")
    ] = None,
    grace: Annotated[float, typer.Option(min=0, help="Seconds for requests under way after SIGTERM.")] = 10.0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe. May be repeated.")
    ] = None,
    runs: Runs = "runs",
) -> None:
    """Answer questions over HTTP, from look-up and by ranking, and rank passages in the dialects of other servers."""
    from tmkd.errors import optional_import

    with optional_import("serving needs", "uvicorn"):
        from tmkd.serve.worker import ServerSettings
        from tmkd.serve.workers import run_server

    if what.is_dir():
        places = _of_bundle(what, index, lookup, set_)
    elif index is not None or lookup is not None:
        raise UsageError(f"--index and --lookup go with a bundle's folder; {what} names its own")
    else:
        places = _of_recipe(what, set_, runs)
    settings = ServerSettings(
        places, host, port, tuple(host_name or ()), _origins(cors_origin or ()), _token(token_file), grace_seconds=grace
    )
    run_server(settings, workers, lambda line: err.print(line, highlight=False, markup=False, soft_wrap=True))


def _of_bundle(folder: Path, index: Path | None, lookup: str | None, changes: list[str] | None) -> Places:
    from tmkd.serve.served import Places

    if changes:
        raise UsageError("--set changes a recipe; this is the folder of a bundle")
    if lookup is not None and index is None:
        raise UsageError("--lookup needs --index: the texts of its passages are there")
    return Places(folder, index, lookup)


def _of_recipe(recipe: Path, changes: list[str] | None, runs: str) -> Places:
    from tmkd.cli.output import argument
    from tmkd.flow.run_folder import RunFolder
    from tmkd.flow.serve import places_of
    from tmkd.recipe.reader import read_recipe

    read = read_recipe(recipe, [argument("--set", change) for change in changes or ()])
    folder, remote = run_place(runs, read.name)
    return places_of(RunFolder(read.without_extras(), recipe.resolve().parent, folder, remote=remote))


def _origins(given: Sequence[str]) -> tuple[str, ...]:
    """Origins as browsers send them.  Raises: UsageError for one that none would send."""
    for origin in given:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:.]+\](:[0-9]+)?", origin):
            raise UsageError(f"--cors-origin {origin}: no origin; write it as browsers do: https://www.example.org")
    return tuple(given)


def _token(file: Path | None) -> str | None:
    """The token of a file or the environment; None without one.  Raises: UsageError for an empty file."""
    import os

    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read: {error}") from None
    if not token or not token.isascii() or any(character.isspace() for character in token):
        raise UsageError(f"{file}: a token is one word of ASCII characters")
    return token
