"""Verbs of the command line: each reads a recipe, and makes or shows its steps."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from rich.text import Text

from tmkd import process, ranks
from tmkd.cli.bundle import Json, bench, rank
from tmkd.cli.evaluate import evaluate
from tmkd.cli.export import export, frontier
from tmkd.cli.handover import handover
from tmkd.cli.options import (
    All,
    Changes,
    EngineKind,
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
    take_part,
    with_engine,
    work_on,
)
from tmkd.cli.output import replace_what_cannot_be_written
from tmkd.cli.report import paper, report
from tmkd.cli.serve import serve
from tmkd.cli.start import init, words
from tmkd.cli.steps import collect, distill, precompute, score, teach
from tmkd.errors import EXTRA_OF, TmkdError, disk_is_full, install_hint

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
    runs: Runs = "runs",
    json_: Json = False,
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
    jobs: JobCount = 1,
    engine: EngineKind = None,
    workers: WorkerCount = None,
) -> None:
    """Do all that is missing or stale, from pairs to report, and print the table."""
    from tmkd.cli.show import show_report
    from tmkd.flow.plan import VERBS
    from tmkd.flow.runner import NotServed

    changes, part = with_engine(set_, engine, workers), Part.of(all_, rows, tasks)
    try:
        show_report(work_on(recipe, changes, runs, VERBS, part, jobs), json_)
    except NotServed:  # told below the table, which is made without the bundle
        show_report(work_on(recipe, [*changes, "serve=null", "export=null"], runs, VERBS, part, jobs), json_)
        raise


app.command()(collect)
app.command()(teach)
app.command()(score)
app.command()(distill)
app.command()(evaluate)
app.command()(export)
app.command()(frontier)
app.command()(precompute)
app.command()(serve)
app.command()(rank)
app.command()(bench)


@app.command()
def show(
    recipe: RecipeFile,
    set_: Changes = None,
    runs: Runs = "runs",
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
    runs: Runs = "runs",
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
def clean(recipe: RecipeFile, set_: Changes = None, runs: Runs = "runs") -> None:
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
    with ranks.command():
        _command()


def _command() -> None:
    try:
        app() if ranks.is_first() else take_part()
    except TmkdError as error:
        _fail(error, error.exit_code)
    except RuntimeError as error:
        if not ranks.is_gone(error):
            raise
        _fail(ranks.GONE)
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
        _fail(
            "the disk is full; free some space, and the same command goes on from here"
            if disk_is_full(error)
            else error
        )


def _fail(problem: object, exit_code: int = 1) -> NoReturn:
    if ranks.is_first_failure():
        at = "" if ranks.is_first() else f" rank {ranks.rank()}:"
        err.print(Text.assemble(("error:", "bold red"), f"{at} {problem}"), soft_wrap=True)
    sys.exit(exit_code)
