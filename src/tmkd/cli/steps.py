"""Verbs of the command line that make the steps of one kind."""

from __future__ import annotations

from typing import Annotated

import typer

from tmkd.cli.options import (
    All,
    Changes,
    EngineKind,
    Part,
    RecipeFile,
    Rows,
    Runs,
    Tasks,
    WorkerCount,
    err,
    open_run,
    out,
    with_engine,
    work_on,
)
from tmkd.errors import UsageError


def collect(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = "runs",
    report: Annotated[bool, typer.Option("--report", help="Also write a page on each stage-1 corpus.")] = False,
    all_: All = False,
    engine: EngineKind = None,
    workers: WorkerCount = None,
) -> None:
    """Read the tasks' pairs and collect the stage-1 corpora, with the leakage guard (§3.1.1 step 1, §4.1)."""
    from tmkd.flow.collect import write_pages
    from tmkd.flow.health import found

    run = work_on(recipe, with_engine(set_, engine, workers), runs, ("collect",), Part(everything=all_))
    for line in found(run):
        err.print(line, highlight=False, markup=False)
    for path in write_pages(run) if report else ():
        err.print(str(path), highlight=False, markup=False, soft_wrap=True)


def teach(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = "runs",
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
) -> None:
    """Fine-tune or open the teachers, and read imported scores (§4.4)."""
    work_on(recipe, set_, runs, ("teach",), Part.of(all_, rows, tasks))


def score(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = "runs",
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
    engine: EngineKind = None,
    workers: WorkerCount = None,
) -> None:
    """Score every corpus with every teacher declared for it (§3.1.1 step 2), and print statistics of the logits."""
    from tmkd.flow.health import health_lines

    changes, part = with_engine(set_, engine, workers), Part.of(all_, rows, tasks)
    for line in health_lines(work_on(recipe, changes, runs, ("score",), part)):
        err.print(line, highlight=False, markup=False)


def distill(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = "runs",
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
) -> None:
    """Train the students of all rows, stage by stage (§3.1)."""
    work_on(recipe, set_, runs, ("distill",), Part.of(all_, rows, tasks))


def precompute(
    recipe: RecipeFile,
    lookup: Annotated[str | None, typer.Option(metavar="URL", help="Also load the store into Redis.")] = None,
    set_: Changes = None,
    runs: Runs = "runs",
    all_: All = False,
    engine: EngineKind = None,
    workers: WorkerCount = None,
) -> None:
    """Answer head questions with the bundle, and write the look-up store that a server answers them from (§1)."""
    changes, part = with_engine(set_, engine, workers), Part(everything=all_)
    if open_run(recipe, changes, runs, part).recipe.serve is None:
        raise UsageError(f"{recipe} does not say what to serve; add a line such as: serve: {{collect: web}}")
    made = work_on(recipe, changes, runs, ("precompute",), part)
    folder = made.lookup_folder
    made.bring(folder)
    if lookup is not None:
        from tmkd.serve.lookup_redis import load_redis

        err.print(f"{load_redis(lookup, folder):,} entries loaded into Redis", highlight=False)
    out.print(str(folder), highlight=False, markup=False, soft_wrap=True)
