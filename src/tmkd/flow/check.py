"""`tmkd check`: read every file that a recipe names, verify finished artifacts, and estimate the work left."""

from __future__ import annotations

import json
from itertools import chain

from rich.console import Console
from rich.table import Table

from tmkd.bundle.bert_graph import GELUS
from tmkd.errors import TmkdError
from tmkd.flow.export import exported_task
from tmkd.flow.plan import steps
from tmkd.flow.run_folder import RunFolder
from tmkd.pretrained import model_config
from tmkd.progress import clock
from tmkd.recipe.parts import ExportSpec
from tmkd.store import verify
from tmkd.train.estimate import Estimate

EXPORTED = ("bert", "tmkd-bilstm")  # families of a student's body that have an ONNX export


def check_run(run: RunFolder, console: Console, as_json: bool) -> None:
    """Read every named file, verify every finished artifact, and print an estimate of each step that is not done.

    Raises: TmkdError for the first fault.
    """
    for _ in steps(run):  # names that lead nowhere, and files that are missing
        pass
    sizes = _sizes(run)
    for teacher in run.teachers.values():
        teacher.check(run)
    check_bodies(run)
    _check_bases(run)
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


def check_bodies(run: RunFolder) -> None:
    """Compare each student with its encoder's config.json: layers, neurons, length, family, and its export.

    Raises: TmkdError for a student that cannot be cut from its base, or not be exported as the recipe asks.
    """
    for student in map(run.recipe.student_of, run.recipe.rows):
        config = model_config(run.pretrained(student.base).path)
        if config.get("is_encoder_decoder"):
            raise TmkdError(
                f"student.base: {student.base} is a {config.get('model_type')}, which has no encoder alone; take an "
                "encoder such as BERT"
            )
        for key, wanted, field in (
            ("num_hidden_layers", student.layers, "layers"),
            ("intermediate_size", student.ffn, "ffn"),
            ("max_position_embeddings", student.max_length, "max_length"),
        ):
            has = config.get(key)
            if isinstance(has, int) and wanted is not None and wanted > has:
                raise TmkdError(f"student.{field} is {wanted}, but {student.base} has {has}; set it to {has} or fewer")
    if run.recipe.export is not None:
        _check_export(run, run.recipe.export)


def _check_export(run: RunFolder, export: ExportSpec) -> None:
    """Compare the student's family with what can be exported.  Raises: TmkdError for another."""
    student = run.recipe.student
    config = model_config(run.pretrained(student.base).path)
    family, activation = config.get("model_type"), config.get("hidden_act", "gelu")
    if family not in EXPORTED:
        raise TmkdError(
            f"export: a student cut from a {family} ({student.base}) has no ONNX export; take a base of "
            f"{', '.join(EXPORTED)}, or leave export out"
        )
    if family == "bert" and activation not in GELUS:
        raise TmkdError(
            f"export: {student.base} has the activation {activation}, which has no ONNX export; "
            f"{', '.join(GELUS)} have; take another base, or leave export out"
        )
    task = exported_task(run, export.row)
    if export.compat and (family != "bert" or student.pool != "pooler" or len(run.recipe.tasks[task].labels) != 2):
        raise TmkdError(
            "export.compat: a one-logit model needs a BERT body, pool: pooler and two classes; set compat: false"
        )


def _check_bases(run: RunFolder) -> None:
    """Compare the weights and tokenizer of each student's base with what it needs; no weight is loaded.

    Raises: TmkdError when a weight is missing or the tokenizer cannot be read.
    """
    from tmkd.data.text import PairTokenizer
    from tmkd.network.encoder import bottom_layers, require_positions

    sizes = dict.fromkeys(
        (student.base, student.layers, student.pool, student.max_length)
        for student in map(run.recipe.student_of, run.recipe.rows)
    )
    for base, layers, pool, max_length in sizes:
        folder = run.pretrained(base).path
        require_positions(bottom_layers(folder, layers, pool, weights=False), max_length, folder)
        PairTokenizer.load(folder, max_length)


def _sizes(run: RunFolder) -> dict[str, int]:
    """Count the pairs of each corpus in its files; of a stage-1 corpus at most questions × top, or its limit."""
    from tmkd.collect.documents import check_documents
    from tmkd.collect.judgments import read_labelled
    from tmkd.collect.tasks import read_task
    from tmkd.data.sources import read_source
    from tmkd.search.trec_run import read_run

    sizes: dict[str, int] = {}
    for name, task in run.recipe.tasks.items():
        for split, table in read_task(name, task, run.base).tables.items():
            sizes[f"{name}/{split}"] = table.num_rows
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
    export = run.recipe.export
    if export is not None:
        for source in chain.from_iterable(export.checks.values()):
            read_labelled(source, run.base, run.labels(exported_task(run, export.row)))
    return sizes
