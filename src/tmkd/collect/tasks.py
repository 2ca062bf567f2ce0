"""Labelled tasks: source files → train, dev and test corpora."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tmkd.collect.guard import Guard
from tmkd.collect.judgments import read_labelled
from tmkd.data.duplicates import deduplicate
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import SCHEMA, write_corpus
from tmkd.data.sources import Asked, read_source, read_weak_scores
from tmkd.data.weak import threshold_at
from tmkd.data.words import text_key
from tmkd.errors import TmkdError
from tmkd.recipe.parts import PriorSpec, Sources, SourceSpec
from tmkd.recipe.schema import TaskSpec
from tmkd.store import digest_bytes


@dataclass(frozen=True)
class TaskParts:
    """Tables of a task's parts (pairs.SCHEMA, some with GRADE), by name: train, dev, the tests; counts per part."""

    tables: dict[str, pa.Table]
    facts: dict[str, Any]


def collect_task(name: str, task: TaskSpec, folder: Path, base: Path) -> dict[str, Any]:
    """Write `folder`/train, /dev and /<test> as corpora; return counts per part.

    Raises: TmkdError as `read_task`.
    """
    parts = read_task(name, task, base)
    for part, table in parts.tables.items():
        write_corpus(folder / part, LabelSet(name, task.labels, task.positive), [table])
    return parts.facts


def read_task(name: str, task: TaskSpec, base: Path) -> TaskParts:
    """Read a task's files as its corpora will have them.

    Training rows that have, or nearly have, a text of dev or test are left out and counted (NLI: whole pairs).
    Without a dev file the golden rows of a tenth of train's first texts, chosen by hash, become dev. Rows from sources
    with a threshold have weak labels: a golden row of the same pair replaces them, and the guard removes their leaks,
    whereas a golden row that leaks is an error. Train may have unlabelled rows.
    Raises: TmkdError for a faulty file, a dev or test set without rows, a pair with two labels, a train or dev set with
    a single class, or a test pair in train.
    """
    labels = LabelSet(name, task.labels, task.positive)
    facts: dict[str, Any] = {}

    def read(part: str, sources: Sources, asked: Asked = "required") -> pa.Table:
        tables = []
        for source in sources:
            table, judged = read_labelled(source, base, labels, label=asked)
            facts.setdefault(part, {}).update(judged)
            tables.append(table)
        table, counts = deduplicate(_concat(tables), task.conflicts)
        _count(facts, part, counts)
        return table

    tests = {test: read(test, sources) for test, sources in task.tests.items()}
    dev = read("dev", task.dev) if task.dev else None
    for part, table in {**tests, **({} if dev is None else {"dev": dev})}.items():
        if not table.num_rows:
            raise TmkdError(f"task {name}: {part} has no rows; give it some, or take it out of the recipe")
    scored = tuple(_resolved(source, base, name, labels, dev, facts) for source in task.train if _is_weak(source))
    golden = read("train", tuple(source for source in task.train if not _is_weak(source)), "optional")
    weak = _weak(scored, base, labels, golden, facts)

    guard = _guard(task, [*tests.values(), *([dev] if dev is not None else [])])
    golden, found = guard.clean(golden, task.kind, golden=True)
    _count(facts, "guard", found)
    weak, found = guard.clean(weak, task.kind)
    _count(facts, "guard", found)
    if dev is None:
        dev, golden, weak = _split_dev(golden, weak)
        facts["dev_from_train"] = True
        kept = []
        for table in (golden, weak):
            table, found = _guard(task, [dev]).clean(table, task.kind)
            _count(facts, "guard_dev_from_train", found)
            kept.append(table)
        golden, weak = kept

    train = _concat([golden, weak])
    for part, table in (("train", train), ("dev", dev)):
        _require_two_classes(name, part, table, labels)
    _require_every_class(name, train, labels)
    tables = {"train": train, "dev": dev, **tests}
    for part, table in tables.items():
        _count(facts, part, {"rows": table.num_rows, "unlabelled": table["label"].null_count})
    _count(facts, "train", {"weak": weak.num_rows})
    return TaskParts(tables, facts)


def _guard(task: TaskSpec, held_out: Iterable[pa.Table]) -> Guard:
    """Guard of the training rows over these sets."""
    return Guard.of(held_out, near=task.kind == "qa")


def _concat(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([SCHEMA.empty_table(), *tables], promote_options="default")  # some may have grades


def _count(facts: dict[str, Any], part: str, counts: dict[str, int]) -> None:
    """Add counts to those of a part."""
    known = facts.setdefault(part, {})
    for what, number in counts.items():
        known[what] = known.get(what, 0) + number


def _is_weak(source: SourceSpec) -> bool:
    return source.threshold is not None


def _resolved(
    source: SourceSpec, base: Path, name: str, labels: LabelSet, dev: pa.Table | None, facts: dict[str, Any]
) -> SourceSpec:
    """A weakly labelled source with its threshold as a number, which the facts have where dev decided it.

    Raises: TmkdError when the labels of dev have one class.
    """
    if not isinstance(source.threshold, PriorSpec):
        return source
    assert dev is not None  # TaskSpec asks for it
    _require_two_classes(name, "dev", dev, labels)
    found = threshold_at(pc.mean(pc.equal(dev["label"], labels.positive_index)).as_py(), read_weak_scores(source, base))
    facts.setdefault("train", {})[f"threshold {source.source or Path(source.file).name}"] = found
    return source.model_copy(update={"threshold": found})


def _weak(sources: Sources, base: Path, labels: LabelSet, golden: pa.Table, facts: dict[str, Any]) -> pa.Table:
    """Read the weakly labelled rows without a golden row; a pair with two different weak labels is dropped."""
    table, counts = deduplicate(_concat(read_source(source, base, labels) for source in sources), "drop")
    known = set(golden["id"].to_pylist())
    kept = [row for row, pair in enumerate(table["id"].to_pylist()) if pair not in known]
    counts["duplicates"] += table.num_rows - len(kept)
    _count(facts, "train", counts)
    return table.take(pa.array(kept, pa.int64()))


def _split_dev(golden: pa.Table, weak: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Split a tenth of the golden first texts off as dev: (dev, remaining golden, remaining weak).

    First texts are ordered by hash, so the choice does not depend on row order. Weak and unlabelled rows of a chosen
    text are dropped.
    """
    texts = [text_key(text) for text in golden["question"].to_pylist()]
    labelled = {text for text, label in zip(texts, golden["label"].to_pylist(), strict=True) if label is not None}
    ordered = sorted(labelled, key=lambda text: digest_bytes(text.encode()))
    chosen = set(ordered[: -(-len(ordered) // 10)])
    held = pa.array([text in chosen for text in texts], pa.bool_())
    dev = golden.filter(held)
    rest = golden.filter(pa.array([text not in chosen for text in texts], pa.bool_()))
    others = pa.array([text_key(text) not in chosen for text in weak["question"].to_pylist()], pa.bool_())
    return dev.filter(dev["label"].is_valid()), rest, weak.filter(others)


def _require_two_classes(name: str, part: str, table: pa.Table, labels: LabelSet) -> None:
    """Check that a set has two classes. Raises: TmkdError naming the set and its classes."""
    present = [labels.names[index] for index in table["label"].unique().drop_null().to_pylist()]
    if len(present) < 2:
        what = f"only class '{present[0]}'" if present else "no labelled rows"
        raise TmkdError(
            f"task {name}: {part} has {what} (of {', '.join(labels.names)}) in {table.num_rows} rows, "
            "duplicates and leaks removed; give it rows of two classes"
        )


def _require_every_class(name: str, train: pa.Table, labels: LabelSet) -> None:
    """Check that a training set has each class. Raises: TmkdError naming one that it has not."""
    present = {*train["label"].unique().to_pylist()}
    absent = [label for index, label in enumerate(labels.names) if index not in present]
    if absent:
        raise TmkdError(
            f"task {name}: train has no row of class '{absent[0]}' (of {', '.join(labels.names)}) in {train.num_rows} "
            "rows, so none can learn it; is it another task's file? Else take the class out of labels"
        )
