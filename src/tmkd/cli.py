"""The verbs of the command line; each reads a recipe and runs the steps of its kind (design: §5)."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tmkd.errors import TmkdError, UsageError

app = typer.Typer(
    name="tmkd",
    help="Distil several big question-passage relevance models into one small, fast student (TMKD, WSDM 2020).\n\n"
    "Start with `tmkd init my.yaml`, fill in your files, `tmkd check my.yaml`, then `tmkd run my.yaml`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
out, err = Console(), Console(stderr=True)

# Which extra of the package brings a module that the base install lacks.
_EXTRA_OF = {
    **dict.fromkeys(("torch", "transformers", "accelerate", "huggingface_hub", "ir_measures", "matplotlib"), "train"),
    "tantivy": "collect",
    "tensorboard": "tensorboard",
}

RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe, e.g. rows.tmkd.stages.1.alpha=0.3. May be repeated."
    ),
]
Runs = Annotated[Path, typer.Option(help="The folder that holds one folder per recipe name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
All = Annotated[bool, typer.Option("--all", help="Also the rows and teachers that the recipe marks extra.")]


def _flow(recipe: Path, changes: list[str] | None, runs: Path, everything: bool) -> Any:
    from tmkd.flow import Flow
    from tmkd.recipe_yaml import read_recipe

    read = read_recipe(recipe, changes or ())
    return Flow(read if everything else read.without_extras(), recipe.resolve().parent, runs / read.name)


@contextmanager
def _own(flow: Any, recipe: Path) -> Iterator[None]:
    """Hold the run folder: one process at a time, and only for the recipe file it was begun with."""
    folder: Path = flow.folder
    folder.mkdir(parents=True, exist_ok=True)
    origin = folder / "recipe.yaml"
    mark = f"# {recipe.resolve()}\n"
    if origin.is_file():
        first = origin.read_text().splitlines()[:1]
        owner = Path(first[0].removeprefix("# ")) if first else recipe
        if owner.is_file() and owner.resolve() != recipe.resolve():
            raise TmkdError(
                f"{folder} belongs to the recipe {owner}; change the name in {recipe}, or give another --runs"
            )
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TmkdError(
                f"{folder} is in use by another tmkd process; wait for it, or give another --runs"
            ) from None
        origin.write_text(mark + recipe.read_text())
        yield


def _work(recipe: Path, changes: list[str] | None, runs: Path, verbs: tuple[str, ...], everything: bool = False) -> Any:
    """Run every step of some verbs that is missing or stale, in order."""
    from tmkd.progress import clock

    flow = _flow(recipe, changes, runs, everything)
    for _ in flow.steps():  # whatever the recipe names and is not there is told before hours of work
        pass
    with _own(flow, recipe):
        made = skipped = 0
        for step, now, waiting in _states(flow):
            if step.verb not in verbs:
                continue
            if waiting:
                raise TmkdError(
                    f"{step.title}: {waiting} is not done; run that verb first, or all with: tmkd run {recipe}"
                )
            if now.kind == "done":
                skipped += 1
                continue
            reason = f" ({now.kind}: {now.why})" if now.kind == "stale" else ""
            err.print(f"[bold]{step.title}[/]{reason}", highlight=False, soft_wrap=True)
            manifest = step.execute()
            made += 1
            err.print(f"  done in {clock(manifest.seconds)}{_facts(manifest.facts)}", highlight=False, markup=False)
        err.print(f"{made} steps done now, {skipped} were done already", highlight=False)
    return flow


def _facts(facts: dict[str, Any]) -> str:
    """The counts a step found, short enough for one line."""
    told = {
        key: value
        for key, value in facts.items()
        if value not in (None, 0, [], {}) and not isinstance(value, list | dict)
    }
    return "".join(
        f", {key.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else f", {key.replace('_', ' ')} {value}"
        for key, value in told.items()
    )


def _show_report(flow: Any, as_json: bool) -> None:
    from tmkd.results import show

    show(flow, as_json)


@app.command()
def run(
    recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs"), json_: Json = False, all_: All = False
) -> None:
    """Do all that is missing or stale, from pairs to report, and print the table."""
    _show_report(_work(recipe, set_, runs, ("collect", "teach", "score", "distill", "evaluate"), all_), json_)


@app.command()
def collect(recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs"), all_: All = False) -> None:
    """Read the tasks' pairs and gather the stage-1 corpora, with the leakage guard (§3.1.1 step 1, §4.1)."""
    _work(recipe, set_, runs, ("collect",), all_)


@app.command()
def teach(recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs"), all_: All = False) -> None:
    """Fine-tune or open the teachers, and read imported scores (§4.4)."""
    _work(recipe, set_, runs, ("teach",), all_)


@app.command()
def score(recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs"), all_: All = False) -> None:
    """Score every corpus with every teacher declared for it (§3.1.1 step 2), and tell the teachers' health."""
    from tmkd.results import health_lines

    for line in health_lines(_work(recipe, set_, runs, ("score",), all_)):
        err.print(line, highlight=False, markup=False)


@app.command()
def distill(recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs"), all_: All = False) -> None:
    """Train the students of all rows, stage by stage (§3.1)."""
    _work(recipe, set_, runs, ("distill",), all_)


@app.command()
def evaluate(
    recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs"), json_: Json = False, all_: All = False
) -> None:
    """Measure teachers and rows on the test sets, time them, and write report.json and report.html (§4)."""
    _show_report(_work(recipe, set_, runs, ("evaluate",), all_), json_)


@app.command()
def show(
    recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs"), json_: Json = False, all_: All = False
) -> None:
    """Say for each step whether it is done, stale (and why) or missing, and how long it took."""
    from tmkd.progress import clock

    rows = [(step, now) for step, now, _ in _states(_flow(recipe, set_, runs, all_))]
    if json_:
        print(
            json.dumps(
                [
                    {"step": s.title, "state": n.kind, "why": n.why, "seconds": n.seconds, "folder": str(s.folder)}
                    for s, n in rows
                ],
                indent=1,
            )
        )
        return
    table = Table("step", "state", "why", "took")
    colour = {"done": "green", "stale": "yellow", "missing": "red"}
    for step, now in rows:
        took = clock(now.seconds) if now.seconds else ""
        table.add_row(step.title, f"[{colour[now.kind]}]{now.kind}[/]", now.why, took)
    out.print(table)


def _states(flow: Any) -> Iterator[tuple[Any, Any, str]]:
    """Every step, its state, and the step before it that is not done; with that one it is stale or missing itself.

    Whoever makes a step before asking for the next finds it done.
    """
    from tmkd.store import State

    undone: dict[Path, str] = {}
    for step in flow.steps():
        now = step.state()
        waiting = next((undone[folder] for folder in step.needs.values() if folder in undone), "")
        if now.kind == "done" and waiting:
            now = State("stale", f"needs {waiting}", now.seconds)
        yield step, now, waiting
        if waiting or (now.kind != "done" and step.state().kind != "done"):
            undone[step.folder] = step.title


@app.command()
def check(
    recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs"), json_: Json = False, all_: All = False
) -> None:
    """Read the recipe and every file it names, check finished artifacts byte by byte, and estimate the work left."""
    from tmkd.checking import check_run

    check_run(_flow(recipe, set_, runs, all_), out, json_)


@app.command()
def init(recipe: Annotated[Path, typer.Argument(help="The recipe to write.", show_default=False)]) -> None:
    """Write a commented recipe for your own files."""
    from importlib.resources import files

    if recipe.exists():
        raise UsageError(f"{recipe} exists already; name a new file")
    recipe.write_text((files("tmkd") / "init.yaml").read_text())
    err.print(f"wrote {recipe}: fill in your files, then: tmkd check {recipe}", highlight=False)


@app.command()
def clean(recipe: RecipeFile, set_: Changes = None, runs: Runs = Path("runs")) -> None:
    """Remove stale artifacts, and what no step of the recipe makes any more, its extras among them."""
    from tmkd.steps import KEY
    from tmkd.store import MANIFEST

    flow = _flow(recipe, set_, runs, everything=True)
    with _own(flow, recipe):
        wanted: set[Path] = set()
        stale: set[Path] = set()
        open_ends = False
        for each in (flow, _flow(recipe, set_, runs, everything=False)):
            for step, now, _ in _states(each):
                (stale if now.kind == "stale" else wanted).add(step.folder)
                open_ends |= bool(step.waits)
        made = {path.parent for mark in (MANIFEST, KEY) for path in flow.folder.rglob(mark)}
        if open_ends:  # students of rows whose best teacher is not known yet cannot be told from others
            made -= {path for place in ("students", "predictions") for path in (flow.folder / place).rglob("*")}
        removed = sorted(folder for folder in (stale - wanted) | (made - wanted) if folder.is_dir())
        for folder in removed:
            shutil.rmtree(folder)
            err.print(f"removed {folder}", highlight=False, markup=False, soft_wrap=True)
        err.print(f"{len(removed)} artifacts removed", highlight=False)


def main() -> None:
    """Run the command line: failures in a line or two on stderr; exit code 1 for a failure, 2 for wrong usage."""
    # GNU OpenMP's threads wait busily by default, which beside any other work costs a run most of its speed; going to
    # sleep at once costs a quarter of it on an idle machine. A short wait is near the best of both (docs/log.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "ACTIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        app()
    except TmkdError as error:
        _fail(error, error.exit_code)
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(f"this needs {error.name}: pip install 'tmkd[{extra}]'")
    except KeyboardInterrupt:
        err.print("interrupted; the same command goes on from here", highlight=False)
        sys.exit(130)
    except OSError as error:
        _fail("the disk is full; free some space, and the same command goes on from here" if _full(error) else error)


def _fail(problem: object, exit_code: int = 1) -> NoReturn:
    err.print(Text.assemble(("error:", "bold red"), f" {problem}"), soft_wrap=True)
    sys.exit(exit_code)


def _full(error: OSError) -> bool:
    """Whether a disk, a quota or a limit on files is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
