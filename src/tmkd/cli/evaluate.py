"""The verb that measures: a recipe's rows on its test sets, or a finished run's on a new labelled file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tmkd.cli.bundle import Json
from tmkd.cli.options import All, Changes, Part, RecipeFile, Rows, Runs, Tasks, err, open_run, work_on
from tmkd.cli.output import argument
from tmkd.errors import UsageError

_FILE = (
    "Measure a finished run on this labelled file instead, and change nothing in it. A name, or a source as recipes "
    "have it: '{file: new.tsv, columns: {question: ask}}'."
)


def evaluate(
    recipe: RecipeFile,
    file: Annotated[str | None, typer.Option(metavar="FILE", help=_FILE)] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --file: its task, where there are several.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With --file: write the report into a new or empty folder.")
    ] = None,
    set_: Changes = None,
    runs: Runs = "runs",
    json_: Json = False,
    all_: All = False,
    rows: Rows = None,
    tasks: Tasks = None,
) -> None:
    """Measure teachers, rows and the exported bundle on the test sets, time them, write report.json and report.html."""
    part = Part.of(all_, rows, tasks)
    if file is None:
        if task is not None or out is not None:
            raise UsageError("--task and --out go with --file")
        from tmkd.cli.show import show_report

        exported = open_run(recipe, set_, runs, part).recipe.export is not None
        show_report(work_on(recipe, set_, runs, ("evaluate", "export") if exported else ("evaluate",), part), json_)
        return
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out: {out} is there already; name a new or an empty folder")
    from tmkd.cli.show import print_report
    from tmkd.flow.evaluate_file import evaluate_file
    from tmkd.recipe.reader import read_source_spec

    source = read_source_spec("--file", argument("--file", file))
    report = evaluate_file(open_run(recipe, set_, runs, part), recipe, source, task)
    if out is not None:
        from tmkd.report.files import write_report

        out.mkdir(parents=True, exist_ok=True)
        write_report(out, report)
    print_report(report, json_)
    for line in (*map(str, report.overlaps), *([str(out)] if out is not None else ())):
        err.print(line, highlight=False, markup=False, soft_wrap=True)
