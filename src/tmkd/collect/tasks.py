"""A labelled task's files → its train, dev and test corpora."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from tmkd.collect.guard import Guard, key
from tmkd.collect.judgments import read_labelled
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import SCHEMA, write_corpus
from tmkd.data.sources import Asked, deduplicate, read_source
from tmkd.errors import TmkdError
from tmkd.recipe.parts import Sources
from tmkd.recipe.schema import TaskSpec
from tmkd.store import digest_bytes


def collect_task(name: str, task: TaskSpec, folder: Path, base: Path) -> dict[str, Any]:
    """Write `folder`/train, /dev and /<test> as corpora, and return what was found on the way, as plain numbers.

    Without a dev file a tenth of train's first texts, chosen by hash, becomes dev with its golden rows. Training rows
    from sources with a threshold are weak: where a golden row has the same pair it wins, and the guard removes their
    leaks where a golden row's are an error. Rows without label may be in train.
    Raises: TmkdError for what is wrong in the files, train or dev of one class only, a test pair in train.
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
    scored = tuple(source for source in task.train if source.threshold is not None)
    golden = read("train", tuple(source for source in task.train if source not in scored), "optional")
    weak = _weak(scored, base, labels, golden, facts)

    guard = Guard.of([*tests.values(), *([dev] if dev is not None else [])])
    golden, found = guard.clean(golden, task.kind, golden=True)
    _count(facts, "guard", found)
    weak, found = guard.clean(weak, task.kind)
    _count(facts, "guard", found)
    if dev is None:
        dev, golden, weak = _set_aside(golden, weak)
        facts["dev_from_train"] = True
        kept = []
        for table in (golden, weak):
            table, found = Guard.of([dev]).clean(table, task.kind)
            _count(facts, "guard_dev_from_train", found)
            kept.append(table)
        golden, weak = kept

    train = _concat([golden, weak])
    for part, table in (("train", train), ("dev", dev)):
        _need_classes(name, part, table, labels)
    for part, table in (("train", train), ("dev", dev), *tests.items()):
        write_corpus(folder / part, labels, [table])
        _count(facts, part, {"rows": table.num_rows, "unlabelled": table["label"].null_count})
    _count(facts, "train", {"weak": weak.num_rows})
    return facts


def _concat(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


def _count(facts: dict[str, Any], part: str, counts: dict[str, int]) -> None:
    """Add counts to those that a part already has."""
    known = facts.setdefault(part, {})
    for what, number in counts.items():
        known[what] = known.get(what, 0) + number


def _weak(sources: Sources, base: Path, labels: LabelSet, golden: pa.Table, facts: dict[str, Any]) -> pa.Table:
    """The rows with weak labels that no golden row stands for; two weak labels of one pair cancel out."""
    table, counts = deduplicate(_concat(read_source(source, base, labels) for source in sources), "drop")
    known = set(golden["id"].to_pylist())
    kept = [row for row, pair in enumerate(table["id"].to_pylist()) if pair not in known]
    counts["duplicates"] += table.num_rows - len(kept)
    _count(facts, "train", counts)
    return table.take(pa.array(kept, pa.int64()))


def _set_aside(golden: pa.Table, weak: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Split a tenth of the golden first texts off: (dev, rest of golden, rest of weak).

    The hash orders first texts, so that a text's place depends on no other; rows of a chosen text that are weak or
    have no label are in none of the three.
    """
    texts = [key(text) for text in golden["question"].to_pylist()]
    labelled = {text for text, label in zip(texts, golden["label"].to_pylist(), strict=True) if label is not None}
    ordered = sorted(labelled, key=lambda text: digest_bytes(text.encode()))
    chosen = set(ordered[: -(-len(ordered) // 10)])
    held = pa.array([text in chosen for text in texts], pa.bool_())
    dev = golden.filter(held)
    rest = golden.filter(pa.array([text not in chosen for text in texts], pa.bool_()))
    others = pa.array([key(text) not in chosen for text in weak["question"].to_pylist()], pa.bool_())
    return dev.filter(dev["label"].is_valid()), rest, weak.filter(others)


def _need_classes(name: str, part: str, table: pa.Table, labels: LabelSet) -> None:
    """Complain about a training set from which nothing can be learnt or chosen."""
    present = [labels.names[index] for index in table["label"].unique().drop_null().to_pylist()]
    if len(present) < 2:
        what = f"only class '{present[0]}'" if present else "no labelled rows"
        raise TmkdError(
            f"task {name}: {part} has {what} (of {', '.join(labels.names)}) in {table.num_rows} rows, "
            "duplicates and leaks removed; give it rows of two classes"
        )
