"""Options of the verbs that take a recipe, the run folder that they name, and its steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tmkd import process
from tmkd.cli.output import argument
from tmkd.errors import UsageError
from tmkd.machine import cores

if TYPE_CHECKING:
    from tmkd.flow.run_folder import RunFolder
    from tmkd.flow.runner import Jobs

out, err = Console(), Console(stderr=True)

RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe, e.g. rows.tmkd.stages.1.alpha=0.3. May be repeated."
    ),
]
Runs = Annotated[Path, typer.Option(help="The folder that holds one folder per recipe name.")]
All = Annotated[bool, typer.Option("--all", help="Also the rows and teachers that the recipe marks extra.")]

JobCount = Annotated[
    int, typer.Option("--jobs", min=1, metavar="N", help="Steps made at once, where they do not depend on each other.")
]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="N", help="Processes and threads of each step. Default: the cores by the jobs."
    ),
]


def share_cores(jobs: int, workers: int | None) -> Jobs | None:
    """Jobs of a command, and the cores of each; None where steps are made in turn, with all cores.

    Raises: UsageError when together they have more threads than there are cores.
    """
    from tmkd.flow.runner import Jobs

    if jobs == 1 and workers is None:
        return None
    share = max(1, cores() // jobs) if workers is None else workers
    if jobs * share > cores():
        each = f"--jobs {jobs}" + ("" if workers is None else f" with --workers {workers}")
        raise UsageError(f"{each} asks for {jobs * share} threads, but there are {cores()} cores; give smaller numbers")
    return Jobs(jobs, share)


def open_run(recipe: Path, changes: list[str] | None, runs: Path, everything: bool) -> RunFolder:
    """Read a recipe with its changes, and open its run folder; `everything` keeps the parts marked extra."""
    from tmkd.flow.run_folder import RunFolder
    from tmkd.recipe.reader import read_recipe

    read = read_recipe(recipe, [argument("--set", change) for change in changes or ()])
    return RunFolder(read if everything else read.without_extras(), recipe.resolve().parent, runs / read.name)


def work_on(
    recipe: Path,
    changes: list[str] | None,
    runs: Path,
    verbs: tuple[str, ...],
    everything: bool = False,
    jobs: Jobs | None = None,
) -> RunFolder:
    """Make every step of some verbs that is missing or stale; returns the run folder."""
    from tmkd.flow.runner import work

    run = open_run(recipe, changes, runs, everything)
    work(run, recipe, verbs, err, process.restart_if_old, jobs)
    return run
