"""Files that a recipe names, read before work starts: the pairs that they give, and whether they fit each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from tmkd.errors import optional_import
from tmkd.flow.export import exported_task
from tmkd.flow.precompute import ASKED
from tmkd.flow.run_folder import RunFolder
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.schema import CollectSpec

if TYPE_CHECKING:
    from tmkd.collect.guard import Guard
from tmkd.recipe.serving import ServeSpec


@dataclass(frozen=True)
class Pairs:
    """Number of pairs of each corpus, at most; and the pairs themselves (pairs.SCHEMA) where no search finds them.

    `tables` has `TASK/SPLIT`, and where a teacher's scores are imported stage-1 corpora by name: their given pairs.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    tables: dict[str, pa.Table] = field(default_factory=dict)


def read_files(run: RunFolder) -> Pairs:
    """Read each file that the recipe names. Raises: TmkdError for the first fault, or a missing package."""
    from tmkd.collect.corpora import given_pairs
    from tmkd.collect.judgments import read_labelled
    from tmkd.collect.tasks import read_task

    pairs = Pairs()
    for name, task in run.recipe.tasks.items():
        for split, table in read_task(name, task, run.base).tables.items():
            pairs.tables[f"{name}/{split}"] = table
            pairs.sizes[f"{name}/{split}"] = table.num_rows
    for name, corpus in run.recipe.collect.items():
        _require_packages(name, corpus)
        pairs.sizes[name] = _most_pairs(run, name, corpus, pairs.tables)
        if any(teacher.pretrained is None for teacher in run.teachers.values()):  # it scores what its file has
            given = given_pairs(corpus, run.labels(corpus.task), _guard(run, corpus, pairs.tables), run.base, Counter())
            pairs.tables[name] = given
    export = run.recipe.export
    if export is not None:
        for source in chain.from_iterable(export.checks.values()):
            read_labelled(source, run.base, run.labels(exported_task(run, export.row)))
    if run.recipe.serve is not None:
        pairs.sizes[ASKED] = asked_questions(run, run.recipe.serve)
    return pairs


def asked_questions(run: RunFolder, serve: ServeSpec) -> int:
    """Number of questions to answer offline, at most."""
    from tmkd.data.sources import read_source

    corpus = run.recipe.collect[serve.collect]
    sources = (serve.questions,) if isinstance(serve.questions, SourceSpec) else corpus.questions
    labels = run.labels(corpus.task)
    return sum(read_source(source, run.base, labels, need=("question",)).num_rows for source in sources)


def _require_packages(name: str, corpus: CollectSpec) -> None:
    """Import the packages that collecting a corpus needs, before hours of it."""
    needed = {"tantivy": bool(corpus.questions), "datasketch": bool(corpus.documents) and corpus.near}
    for module in (module for module, needs in needed.items() if needs):
        with optional_import(f"collect.{name} needs", module):
            import_module(module)


def _most_pairs(run: RunFolder, name: str, corpus: CollectSpec, tables: Mapping[str, pa.Table]) -> int:
    """Read the files of a stage-1 corpus, and count its pairs: at most questions × top, or its limit."""
    from tmkd.collect.corpora import require_known_questions
    from tmkd.collect.documents import check_documents
    from tmkd.collect.id_columns import with_run_ids
    from tmkd.collect.questions import require_question
    from tmkd.data.sources import read_source
    from tmkd.search.trec_run import read_run

    labels = run.labels(corpus.task)
    given = sum(read_source(source, run.base, labels, label="none").num_rows for source in corpus.pairs)
    asked = [read_source(source, run.base, labels, need=("question",)) for source in corpus.questions]
    if asked:
        words = chain.from_iterable(table["question"].to_pylist() for table in asked)
        require_question(name, words, _guard(run, corpus, tables))
    found = read_run(corpus.run, run.base, corpus.top) if corpus.run is not None else {}
    if corpus.run is not None and asked:
        groups = chain.from_iterable(table["group"].to_pylist() for table in asked)
        require_known_questions(corpus.run, found, frozenset(groups), run.base)
    ids = frozenset(one.docid for documents in found.values() for one in documents)
    for source in corpus.passages:
        read_source(with_run_ids(source, run.base, ids), run.base, labels, need=("passage",))
    for source in corpus.documents:
        check_documents(with_run_ids(source, run.base, ids), run.base, corpus.language)
    questions = sum(table.num_rows for table in asked)
    most = given + min(questions, corpus.sample or questions) * min(corpus.top, corpus.keep or corpus.top)
    return min(most, corpus.limit) if corpus.limit is not None else most


def _guard(run: RunFolder, corpus: CollectSpec, tables: Mapping[str, pa.Table]) -> Guard:
    """Guard of a stage-1 corpus over the dev and test sets as their files have them."""
    from tmkd.collect.guard import Guard

    held: dict[str, list[pa.Table]] = {"qa": [], "nli": []}
    if corpus.guard != "off":
        for name, task in run.recipe.tasks.items():
            held[task.kind] += [tables[f"{name}/{split}"] for split in ("dev", *task.tests)]
    return Guard.of(held["qa"], held["nli"], near=corpus.guard == "near")
