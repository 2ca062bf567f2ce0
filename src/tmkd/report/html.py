"""What our HTML pages are built of: the page itself, tables, figures in large print, plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from tmkd.evaluate.results import Line
from tmkd.report.style import PAGE, STYLE
from tmkd.store import write_atomic


def write_page(path: Path, title: str, body: str, style: str = "") -> None:
    """Write a page that loads nothing, runs no script, and follows the light or dark theme.

    `body` is HTML, `style` more CSS of its own. Raises: TmkdError when the disk does not take it.
    """
    page = PAGE.format(title=escape(title), style=STYLE + style, body=body)
    write_atomic(path, page.encode("utf-8", "replace"))


def head(over: str, name: str, facts: Iterable[tuple[str, str]]) -> str:
    """The head of a page: what it is, whose, and facts with their names."""
    told = "".join(f"<div><dt>{escape(fact)}</dt><dd>{escape(value)}</dd></div>" for fact, value in facts)
    return f'<header><p class="over">{over}</p><h1>{escape(name)}</h1><dl class="facts">{told}</dl></header>'


def cards(figures: Iterable[tuple[str, str]]) -> str:
    """A few figures in large print, each with some words on what it is."""
    shown = (f"<div><b>{escape(figure)}</b><span>{escape(words)}</span></div>" for figure, words in figures)
    return f'<div class="cards">{"".join(shown)}</div>'


def plots(drawn: Iterable[tuple[str, str]]) -> str:
    """Drawings (SVG) side by side where there is room, each under its caption."""
    shown = (f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>" for caption, svg in drawn)
    return f'<div class="plots">{"".join(shown)}</div>'


def table(names: Sequence[str], rows: Iterable[tuple[Line | str, Sequence[str]]], told: str = "") -> str:
    """A table whose first column names rows, with a word on it below.

    A `Line` in the first column shows its kind, and the best student stands out.
    """
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = []
    for first, cells in rows:
        best = isinstance(first, Line) and first.best
        if isinstance(first, Line):
            dot = f'<i class="{first.kind}" title="{first.kind}"></i>'
            name = f"{dot}{escape(first.row)}" + (' <em class="badge" title="best student">best</em>' if best else "")
        else:
            name = escape(first)
        filled = "".join(f"<td>{_small_deviation(escape(cell))}</td>" for cell in cells)
        body.append(f'<tr{" class=best" if best else ""}><th scope="row">{name}</th>{filled}</tr>')
    filled = f"<table><thead><tr>{columns}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll">{filled}</div>' + (f'<p class="told">{escape(told)}</p>' if told else "")


def _small_deviation(cell: str) -> str:
    """`mean ± deviation` with the deviation in small print below, so that the table stays narrow."""
    mean, sign, deviation = cell.partition(" ± ")
    return f"{mean}<small>{sign.strip()} {deviation}</small>" if sign else cell
