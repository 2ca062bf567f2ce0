"""Options of the verbs that take a recipe, the run folder that they name, and its steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import typer
from rich.console import Console

from tmkd import process, ranks
from tmkd.cli.output import argument
from tmkd.errors import TmkdError, UsageError
from tmkd.machine import cores, share_of_cores
from tmkd.object_store.uri import runs_place

if TYPE_CHECKING:
    from tmkd.flow.run_folder import RunFolder
    from tmkd.flow.runner import Jobs
    from tmkd.object_store.remote_run import RemoteRun
    from tmkd.recipe.engine import EngineSpec

out, err = Console(), Console(stderr=True)

RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe, e.g. rows.tmkd.stages.1.alpha=0.3. May be repeated."
    ),
]
Runs = Annotated[
    str,
    typer.Option(
        metavar="FOLDER|URI", help="The folder that holds one folder per recipe name, or its URI: s3://bucket/runs."
    ),
]
All = Annotated[bool, typer.Option("--all", help="Also the rows and teachers that the recipe marks extra.")]

Rows = Annotated[
    str | None, typer.Option("--rows", metavar="R1,R2", help="Only these rows, extras too, and what they need.")
]
Tasks = Annotated[str | None, typer.Option("--tasks", metavar="T1,T2", help="Only rows on these tasks.")]

JobCount = Annotated[
    int, typer.Option("--jobs", min=1, metavar="N", help="Steps made at once, where they do not depend on each other.")
]
EngineKind = Annotated[
    Literal["local", "ray"] | None,
    typer.Option("--engine", metavar="KIND", help="Where shards are made: local or ray. Default: the recipe's engine."),
]
WorkerCount = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Workers that make shards, with equal shares of the cores."),
]


def with_engine(changes: list[str] | None, engine: str | None, workers: int | None) -> list[str]:
    """Changes of a recipe, and those that two options stand for."""
    asked = {"engine.kind": engine, "engine.workers": workers}
    return [*(changes or ()), *(f"{key}={value}" for key, value in asked.items() if value is not None)]


def share_cores(jobs: int, engine: EngineSpec) -> Jobs | None:
    """Jobs of a command, and the cores of each; None where steps are made in turn, with all cores.

    Raises: UsageError when jobs and their workers have more threads than this machine has cores; for jobs under
    torchrun.
    """
    from tmkd.flow.runner import Jobs

    if jobs > 1 and ranks.launched():
        raise UsageError(f"--jobs {jobs}: under torchrun all processes train one step together; leave --jobs out")
    workers = engine.workers if engine.kind == "local" else None
    if jobs * (workers or 1) > cores():
        asked = [*([f"--jobs {jobs}"] if jobs > 1 else ()), *([f"--workers {workers}"] if workers else ())]
        raise UsageError(
            f"{' with '.join(asked)} asks for {jobs * (workers or 1)} threads, but there are {cores()} cores; "
            "give smaller numbers"
        )
    return None if jobs == 1 else Jobs(jobs, share_of_cores(jobs))


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a recipe that a command works on: rows and tasks by name (none: all), and the parts marked extra."""

    rows: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    everything: bool = False

    @classmethod
    def of(cls, everything: bool, rows: str | None, tasks: str | None) -> Self:
        """Part that the options of a command name."""
        named = [tuple(names.split(",")) if names else () for names in (rows, tasks)]
        return cls(named[0], named[1], everything)


def run_place(runs: str, name: str) -> tuple[Path, RemoteRun | None]:
    """Folder of the run of this name; of a run in object storage its cache, with the manifests of now, and the run.

    Raises: UsageError for a faulty URI; TmkdError when object storage cannot be reached.
    """
    place = runs_place(runs)
    if isinstance(place, Path):
        return place / name, None
    from tmkd.object_store.remote_run import RemoteRun

    remote = RemoteRun(f"{place}/{name}")
    remote.refresh_unless_used()
    return remote.folder, remote


def open_run(recipe: Path, changes: list[str] | None, runs: str, part: Part) -> RunFolder:
    """Read a recipe with its changes, and open its run folder for a part of it, less what is finished elsewhere."""
    from tmkd.distill.selection import select
    from tmkd.flow.finished import left_to_make
    from tmkd.flow.run_folder import RunFolder
    from tmkd.recipe.reader import read_recipe

    read = read_recipe(recipe, [argument("--set", change) for change in changes or ()])
    whole = read if part.everything else read.without_extras(part.rows)
    only = select(whole, part.rows, part.tasks) if part.rows or part.tasks else None
    folder, remote = run_place(runs, read.name)
    run = RunFolder(whole, recipe.resolve().parent, folder, only, remote)
    left = left_to_make(run)
    return run if left is None else RunFolder(whole, run.recipe_base, run.folder, left, remote)


def work_on(
    recipe: Path,
    changes: list[str] | None,
    runs: str,
    verbs: tuple[str, ...],
    part: Part,
    jobs: int = 1,
) -> RunFolder:
    """Make every step of some verbs that is missing or stale, so many at once; returns the run folder."""
    from tmkd.flow.runner import work

    run = open_run(recipe, changes, runs, part)
    share = share_cores(jobs, run.recipe.engine)
    if run.only is not None and run.only.is_empty:  # all is finished elsewhere
        return run
    ranks.send({"open": {"recipe": str(recipe), "changes": changes, "runs": str(runs), "part": asdict(part)}})
    work(run, recipe, verbs, err, process.restart_if_old, share)
    return run


def take_part() -> None:
    """Make each step that rank 0 trains together with it, until its command ends: the work of the other ranks.

    Raises: TmkdError when this rank does not see what rank 0 has made.
    """
    from tmkd.flow.plan import steps

    for message in ranks.messages():
        if "open" in message:
            asked = message["open"]
            run = open_run(Path(asked["recipe"]), asked["changes"], asked["runs"], Part(**asked["part"]))
            continue
        folder = Path(message["make"])
        step = next((step for step in steps(run) if step.folder == folder and not step.waits), None)
        if step is None or not step.folder.is_dir():
            raise TmkdError(f"{folder}: rank 0 makes it, and it is not seen here; all machines have to share the disk")
        step.make(folder)
