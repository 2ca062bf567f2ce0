"""paper.html and paper.md: our rows beside the paper's, table by table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tmkd.report.html import write_page
from tmkd.report.markdown import markdown_table, markdown_text
from tmkd.report.paper_cells import NOT_RUN, Cell, Table
from tmkd.report.paper_rows import PAIRS_SHOWN, DifferingPairs, differing_pairs
from tmkd.report.paper_sections import Agreement, Section, agreement, sections
from tmkd.report.shapes import Shapes
from tmkd.report.study import Study
from tmkd.store import write_atomic

PAPER_FILES = ("paper.html", "paper.md")
TITLE = "The paper's tables, and ours beside them"
PAPER = (
    "Yang et al.: Model Compression with Two-stage Multi-teacher Knowledge Distillation for Web Question Answering "
    "System, WSDM 2020"
)
DIFFERING = f"The {PAIRS_SHOWN} test pairs on which student and teachers differ most"
NO_TEXTS = "Fragments hold no texts: with the run's folder, runs/NAME, in place of them the pairs stand here."


def write_paper(folder: Path, studies: Sequence[Study], shapes: Shapes | None) -> None:
    """Write PAPER_FILES into a folder that is there. Raises: TmkdError when matplotlib is missing."""
    parts, pairs, signs = sections(studies, shapes), differing_pairs(studies), agreement(studies)
    write_page(
        folder / "paper.html",
        "paper.html",
        title=TITLE,
        command="tmkd paper",
        name=TITLE,
        facts=[("Paper", PAPER), ("Runs", ", ".join(study.name for study in studies))],
        sections=parts,
        differing=pairs,
        differing_title=DIFFERING,
        no_texts=NO_TEXTS,
        not_run=NOT_RUN,
        cards=_cards(signs),
        against=signs.against,
    )
    text = "\n\n".join(_blocks(studies, parts, pairs, signs)) + "\n"
    write_atomic(folder / "paper.md", text.encode("utf-8", "replace"))


def has_texts(studies: Sequence[Study]) -> bool:
    """True where the page shows texts of data sets."""
    return any(study.texts for study in studies)


def _cards(signs: Agreement) -> list[tuple[str, str]]:
    """The counts of an agreement as (figure, words)."""
    return [
        (f"{signs.alike} of {signs.run}", "differences run here have the paper's sign"),
        (f"{signs.clear} of {signs.run}", "have a 95 % interval on that side of 0"),
        (f"{len(signs.against)} of {signs.run}", "have one on the other side"),
    ]


def _blocks(
    studies: Sequence[Study], parts: Sequence[Section], pairs: Sequence[DifferingPairs], signs: Agreement
) -> Iterator[str]:
    yield f"# {TITLE}"
    yield markdown_text(f"{PAPER}. Runs: {', '.join(study.name for study in studies)}.")
    yield "\n".join(f"- {figure} {words}" for figure, words in _cards(signs))
    if signs.against:
        yield markdown_text(f"On the other side: {'; '.join(signs.against)}.")
    yield "In each cell the paper's number, a slash, then ours. Figures are in paper.html."
    for part in parts:
        yield f"## {markdown_text(f'{part.name}: {part.title}')}" + (f" ({part.source})" if part.source else "")
        for table in part.tables:
            if table.heading:
                yield f"### {markdown_text(table.heading)}"
            yield _table(table)
            if table.remarks:
                yield markdown_text(" ".join(table.remarks))
        if part.remarks:
            yield markdown_text(" ".join(part.remarks))
        if part.lines:
            yield "\n".join(f"- {markdown_text(line)}" for line in part.lines)
    yield f"## {DIFFERING}"
    for task in pairs:
        yield f"### {markdown_text(task.title)}"
        yield "\n".join(_pairs(task)) if task.texts else markdown_text(NO_TEXTS)


def _table(table: Table) -> str:
    columns = [table.label] + [
        f"{name} ({small})" if name and small else name or small for name, small in table.columns
    ]
    return markdown_table(columns, [(name, *map(_cell, cells)) for name, cells in table.rows])


def _cell(cell: Cell) -> str:
    ours = f"{cell.ours} ({', '.join(cell.notes)})" if cell.notes else cell.ours
    return " / ".join(part for part in (cell.paper, ours) if part)


def _pairs(task: DifferingPairs) -> Iterator[str]:
    for pair in task.pairs:
        opinions = ", ".join(f"{one.row} {one.label} {one.probability:.2f}" for one in pair.opinions)
        yield f"- {markdown_text(f'{pair.question} — {pair.passage} (label {pair.label}; {opinions})')}"
