"""Verbs on finished runs: tmkd report joins their fragments, tmkd paper sets them beside the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tmkd.cli.bundle import Json
from tmkd.cli.options import err
from tmkd.errors import UsageError


def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of fragments: results/NAME.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write the report. Default: the first folder.")
    ] = None,
    json_: Json = False,
) -> None:
    """Join the fragments that runs on several machines and days left, write report.json and report.html."""
    from tmkd.cli.show import print_report
    from tmkd.flow.join import join
    from tmkd.report.files import write_report

    joined, place = join(folders), out or folders[0]
    place.mkdir(parents=True, exist_ok=True)
    write_report(place, joined)
    print_report(joined, json_)
    err.print(str(place / "report.html"), highlight=False, markup=False, soft_wrap=True)


def paper(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Runs: folders of fragments, results/NAME, or of runs, runs/NAME.", show_default=False),
    ],
    shapes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Speeds for Table 2, as benchmarks/shapes.py writes them.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where to write. Default: the first run's folder, without one the first folder."
        ),
    ] = None,
) -> None:
    """Set finished runs beside the paper's tables and figures, write paper.html and paper.md."""
    from tmkd.flow.studies import is_run, studies
    from tmkd.report.paper_page import has_texts, write_paper
    from tmkd.report.row_fragment import ROWS
    from tmkd.report.shapes import read_shapes

    speeds = None if shapes is None else read_shapes(shapes)
    found = studies(folders)
    place = out or next(filter(is_run, folders), folders[0])
    if has_texts(found) and (place / ROWS).is_dir():
        raise UsageError(f"--out: {place} holds fragments to be committed, and the page has texts; name another folder")
    place.mkdir(parents=True, exist_ok=True)
    write_paper(place, found, speeds)
    err.print(str(place / "paper.html"), highlight=False, markup=False, soft_wrap=True)
