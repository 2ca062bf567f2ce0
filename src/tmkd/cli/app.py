"""Verbs of the command line: each reads a recipe and runs the steps of its kind."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from tmkd import process
from tmkd.cli.bundle import Json, bench, rank
from tmkd.cli.evaluate import evaluate
from tmkd.cli.export import export, frontier
from tmkd.cli.handover import handover
from tmkd.cli.options import (
    All,
    Changes,
    JobCount,
    Part,
    RecipeFile,
    Rows,
    Runs,
    Tasks,
    WorkerCount,
    err,
    open_run,
    out,
    share_cores,
    work_on,
)
from tmkd.cli.output import replace_what_cannot_be_written
from tmkd.cli.report import paper, report
from tmkd.cli.serve import serve
from tmkd.cli.start import init, words
from tmkd.errors import EXTRA_OF, TmkdError, UsageError, install_hint

app = typer.Typer(
    name="tmkd",
    help="Distil several big question-passage relevance models into one small, fast student (TMKD, WSDM 2020).\n\n"
    "Start with `tmkd init my.yaml`, fill in your files, `tmkd check my.yaml`, then `tmkd run my.yaml`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
_INTERRUPTED = 130  # what typer exits with after Ctrl-C


@app.command()
def run(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = Path("runs"),
    json_: Json = False,
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
    jobs: JobCount = 1,
    workers: WorkerCount = None,
) -> None:
    """Do all that is missing or stale, from pairs to report, and print the table."""
    from tmkd.cli.show import show_report
    from tmkd.flow.plan import VERBS
    from tmkd.flow.runner import NotServed

    share, part = share_cores(jobs, workers), Part.of(all_, rows, tasks)
    try:
        show_report(work_on(recipe, set_, runs, VERBS, part, share), json_)
    except NotServed:  # told below the table, which is made without the bundle
        show_report(work_on(recipe, [*(set_ or ()), "serve=null", "export=null"], runs, VERBS, part, share), json_)
        raise


@app.command()
def collect(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = Path("runs"),
    report: Annotated[bool, typer.Option("--report", help="Also write a page on each stage-1 corpus.")] = False,
    all_: All = False,
) -> None:
    """Read the tasks' pairs and collect the stage-1 corpora, with the leakage guard (§3.1.1 step 1, §4.1)."""
    from tmkd.flow.collect import write_pages
    from tmkd.flow.health import found

    run = work_on(recipe, set_, runs, ("collect",), Part(everything=all_))
    for line in found(run):
        err.print(line, highlight=False, markup=False)
    for path in write_pages(run) if report else ():
        err.print(str(path), highlight=False, markup=False, soft_wrap=True)


@app.command()
def teach(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = Path("runs"),
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
) -> None:
    """Fine-tune or open the teachers, and read imported scores (§4.4)."""
    work_on(recipe, set_, runs, ("teach",), Part.of(all_, rows, tasks))


@app.command()
def score(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = Path("runs"),
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
) -> None:
    """Score every corpus with every teacher declared for it (§3.1.1 step 2), and print statistics of the logits."""
    from tmkd.flow.health import health_lines

    for line in health_lines(work_on(recipe, set_, runs, ("score",), Part.of(all_, rows, tasks))):
        err.print(line, highlight=False, markup=False)


@app.command()
def distill(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = Path("runs"),
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
) -> None:
    """Train the students of all rows, stage by stage (§3.1)."""
    work_on(recipe, set_, runs, ("distill",), Part.of(all_, rows, tasks))


app.command()(evaluate)
app.command()(export)
app.command()(frontier)


@app.command()
def precompute(
    recipe: RecipeFile,
    lookup: Annotated[str | None, typer.Option(metavar="URL", help="Also load the store into Redis.")] = None,
    set_: Changes = None,
    runs: Runs = Path("runs"),
    all_: All = False,
) -> None:
    """Answer head questions with the bundle, and write the look-up store that a server answers them from (§1)."""
    run = open_run(recipe, set_, runs, Part(everything=all_))
    if run.recipe.serve is None:
        raise UsageError(f"{recipe} does not say what to serve; add a line such as: serve: {{collect: web}}")
    folder = work_on(recipe, set_, runs, ("precompute",), Part(everything=all_)).lookup_folder
    if lookup is not None:
        from tmkd.serve.lookup_redis import load_redis

        err.print(f"{load_redis(lookup, folder):,} entries loaded into Redis", highlight=False)
    out.print(str(folder), highlight=False, markup=False, soft_wrap=True)


app.command()(serve)
app.command()(rank)
app.command()(bench)


@app.command()
def show(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = Path("runs"),
    json_: Json = False,
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
) -> None:
    """Say for each step whether it is done, stale (and why) or missing, and how long it took."""
    from tmkd.cli.show import show_states

    show_states(open_run(recipe, set_, runs, Part.of(all_, rows, tasks)), out, json_)


@app.command()
def check(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = Path("runs"),
    json_: Json = False,
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
) -> None:
    """Read each file that the recipe names, open its models, check finished artifacts, and estimate the work left."""
    from tmkd.flow.check import check_run

    check_run(open_run(recipe, set_, runs, Part.of(all_, rows, tasks)), out, json_)


app.command()(handover)
app.command()(report)
app.command()(paper)
app.command()(words)
app.command()(init)


@app.command()
def clean(recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs")) -> None:
    """Remove stale artifacts, and what no step of the recipe makes any more, its extras among them."""
    from tmkd.flow.runner import remove_unwanted

    remove_unwanted(
        [open_run(recipe, set_, runs, Part(everything=everything)) for everything in (True, False)], recipe, err
    )


def main() -> None:
    """Run the command line: failures in a line or two on stderr; exit code 1 for a failure, 2 for wrong usage."""
    process.read_names_as_utf8()
    process.tune_process()
    replace_what_cannot_be_written()
    try:
        app()
    except TmkdError as error:
        _fail(error, error.exit_code)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF:
            raise
        _fail(f"this needs {error.name}: {install_hint(module)}")
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            err.print("interrupted; the same command goes on from here", highlight=False)
        raise
    except UnicodeEncodeError as error:
        if error.encoding != sys.getfilesystemencoding():
            raise
        _fail(f"'{error.object}' has no name in this system's encoding, {error.encoding}; set PYTHONUTF8=1")
    except OSError as error:
        _fail("the disk is full; free some space, and the same command goes on from here" if _full(error) else error)


def _fail(problem: object, exit_code: int = 1) -> NoReturn:
    err.print(Text.assemble(("error:", "bold red"), f" {problem}"), soft_wrap=True)
    sys.exit(exit_code)


def _full(error: OSError) -> bool:
    """True when a disk, a quota or a limit on files is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
