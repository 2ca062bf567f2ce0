"""The verb that joins what runs on several machines left: tmkd report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tmkd.cli.bundle import Json
from tmkd.cli.options import err


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
