"""`tmkd check`: read every file that a recipe names, verify finished artifacts, and estimate the work left."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from tmkd.errors import TmkdError
from tmkd.flow.plan import steps
from tmkd.flow.run_folder import RunFolder
from tmkd.pretrained import model_config
from tmkd.progress import clock
from tmkd.store import verify
from tmkd.train.estimate import Estimate


def check_run(run: RunFolder, console: Console, as_json: bool) -> None:
    """Read every named file, verify every finished artifact, and print an estimate of each step that is not done.

    Raises: TmkdError for the first fault.
    """
    sizes = _sizes(run)
    for teacher in run.teachers.values():
        teacher.check(run)
    _check_students(run)
    left: list[tuple[str, Estimate]] = []
    for step in steps(run):
        if step.state().kind == "done":
            verify(step.folder)
        else:
            left.append((step.title, step.estimate(sizes)))
    if as_json:
        print(json.dumps([{"step": title, **vars(one)} for title, one in left], indent=1))
        return
    table = Table("step", "pairs", "about", "disk")
    for title, one in left:
        table.add_row(title, f"{one.pairs:,}" if one.pairs else "", clock(one.seconds), f"{one.bytes / 1e6:.1f} MB")
    if left:
        console.print(table)
    total, disk = sum(one.seconds for _, one in left), sum(one.bytes for _, one in left)
    state = f"{len(left)} steps left, very roughly {clock(total)} and {disk / 1e6:.0f} MB" if left else "all is done"
    console.print(f"the recipe and its files are in order; {state}", highlight=False)


def _check_students(run: RunFolder) -> None:
    """Compare each student's layers, neurons and length with its encoder's.  Raises: TmkdError when it has fewer."""
    for student in (run.recipe.student, *map(run.recipe.student_of, run.recipe.rows)):
        config = model_config(run.pretrained(student.base).path)
        for key, wanted, field in (
            ("num_hidden_layers", student.layers, "layers"),
            ("intermediate_size", student.ffn, "ffn"),
            ("max_position_embeddings", student.max_length, "max_length"),
        ):
            has = config.get(key)
            if isinstance(has, int) and wanted is not None and wanted > has:
                raise TmkdError(f"student.{field} is {wanted}, but {student.base} has {has}; set it to {has} or fewer")


def _sizes(run: RunFolder) -> dict[str, int]:
    """Count the pairs of each corpus in its files; of a stage-1 corpus at most questions × top, or its limit."""
    from tmkd.collect.documents import check_documents
    from tmkd.collect.judgments import read_labelled
    from tmkd.data.sources import read_source
    from tmkd.search.trec_run import read_run

    sizes: dict[str, int] = {}
    for name, task in run.recipe.tasks.items():
        labels = run.labels(name)
        for split, sources in (("train", task.train), ("dev", task.dev), *task.tests.items()):
            sizes[f"{name}/{split}"] = sum(read_labelled(source, run.base, labels)[0].num_rows for source in sources)
        sizes[f"{name}/dev"] = sizes[f"{name}/dev"] or sizes[f"{name}/train"] // 10
    for name, corpus in run.recipe.collect.items():
        labels = run.labels(corpus.task)
        given = sum(read_source(source, run.base, labels, label="none").num_rows for source in corpus.pairs)
        asked = sum(read_source(source, run.base, labels, need=("question",)).num_rows for source in corpus.questions)
        for source in corpus.passages:
            read_source(source, run.base, labels, need=("passage",))
        for source in corpus.documents:
            check_documents(source, run.base)
        if corpus.run is not None:
            read_run(corpus.run, run.base, corpus.top)
        found = given + min(asked, corpus.sample or asked) * min(corpus.top, corpus.keep or corpus.top)
        sizes[name] = min(found, corpus.limit) if corpus.limit is not None else found
    return sizes
