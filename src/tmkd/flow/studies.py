"""Finished runs for the paper's report: fragments joined run by run, with sizes and texts of sets from run folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tmkd.data.pairs import Corpus
from tmkd.errors import TmkdError
from tmkd.flow.fragments import REPORT, pairs_digest, results_folder
from tmkd.flow.join import Found, merged, read_rows
from tmkd.report.report_json import read_report
from tmkd.report.study import Study, Texts


def studies(folders: Sequence[Path]) -> list[Study]:
    """One study per run, in the order met: from folders of fragments (`results/NAME`) and run folders (`runs/NAME`).

    A run folder stands for its fragments too; it adds sizes of its data sets, and the texts of its test sets.
    Raises: TmkdError as `join` does, but for fragments of different runs.
    """
    found: dict[str, list[Found]] = {}
    runs = {folder.resolve().name: folder.resolve() for folder in folders if is_run(folder)}
    for folder in folders:
        for one in read_rows(results_folder(folder.resolve()) if is_run(folder) else folder):
            found.setdefault(one.row.run, []).append(one)
    return [_study(name, merged(rows), runs.get(name)) for name, rows in found.items()]


def is_run(folder: Path) -> bool:
    """True for a run's folder that has a report."""
    return (folder / REPORT / "report.json").is_file()


def _study(name: str, rows: Sequence[Found], run: Path | None) -> Study:
    kept = tuple((one.row, one.tested) for one in rows)
    if run is None:
        return Study(name, kept)
    texts = {}
    for one in rows:
        task, split = one.row.first.task, one.row.first.split
        if task not in texts and (own := _texts(run / "pairs" / task / split, one.row.tests[split])) is not None:
            texts[task] = own
    return Study(name, kept, read_report(run / REPORT / "report.json").data, texts)


def _texts(folder: Path, digest: str) -> Texts | None:
    """Texts of a test set; None where the folder does not hold the pairs that the rows were tested on."""
    try:
        corpus = Corpus.open(folder)
    except TmkdError:
        return None
    if pairs_digest(corpus) != digest:
        return None
    table = corpus.table()
    return table["question"].to_pylist(), table["passage"].to_pylist()
