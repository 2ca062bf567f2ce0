"""After collecting: a page for each stage-1 corpus, made from what lies in the run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tmkd.runfolder import RunFolder
from tmkd.store import sealed


def write_pages(run: RunFolder) -> Iterator[Path]:
    """Write `collect-CORPUS.html` into the run folder for every stage-1 corpus, and tell each path when it is done.

    Raises: TmkdError when a corpus is not collected or damaged, or matplotlib is missing.
    """
    from tmkd.evaluate.corpus import look
    from tmkd.progress import progress
    from tmkd.report.corpus_page import write_corpus_html

    for name, gather in run.recipe.collect.items():
        made = [("The pairs", run.corpus_artifact(name))]
        if gather.questions:
            made = [("The passages", run.index_folder(name)), ("The questions", run.questions_folder(name)), *made]
        counts = [(step, sealed(folder).facts) for step, folder in made]
        with progress(f"look at {name}", "pairs") as report:
            seen = look(run.corpus(name), gather.seed, report=report)
        path = run.folder / f"collect-{name}.html"
        write_corpus_html(path, run.recipe.name, name, seen, counts)
        yield path
