"""Question files and query logs → deduplicated, sampled questions, split into head and tail (§1, §4.1)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tmkd.collect.guard import Guard
from tmkd.collect.near_heldout import keyword_set
from tmkd.data.labels import LabelSet
from tmkd.data.sampling import exponential
from tmkd.data.sources import read_source
from tmkd.data.words import text_key
from tmkd.errors import TmkdError
from tmkd.recipe.schema import CollectSpec
from tmkd.store import digest_bytes

QUESTIONS = "questions.parquet"
_FACTS = (
    "questions",
    "questions_empty",
    "question_duplicates",
    "leaked_questions",
    "near_leaked_questions",
    "near_duplicate_questions",
    "questions_drawn",
)


def collect_questions(
    name: str, spec: CollectSpec, labels: LabelSet, guard: Guard, folder: Path, base: Path
) -> dict[str, object]:
    """Write `folder`/questions.parquet, one row per distinct question of the files, and return counts.

    Columns: question, source, group, count (float64, frequency in the log), part (head: the most frequent questions
    that make up the share `head` of all traffic; tail: the others; null without `head`), place (int32, search order;
    null for a near-duplicate of an earlier question, a question removed by the guard, or one not sampled).
    Without `limit` and `sample` the order is the files', so that questions added at the end come last. `sample`
    questions are drawn with probabilities proportional to their counts; under a `limit` the order is random.
    Raises: TmkdError for a faulty file, or when no question is left.
    """
    facts = Counter(dict.fromkeys(_FACTS, 0))
    table, keys = _distinct(spec, labels, base, facts)
    questions: list[str] = table["question"].to_pylist()
    counts = table["count"].to_numpy()
    use = np.ones(len(questions), dtype=bool)
    for row, (question, its_key) in enumerate(zip(questions, keys, strict=True)):
        if its_key in guard.questions:
            facts["leaked_questions"] += 1
            use[row] = False
        elif guard.near_question(question):
            facts["near_leaked_questions"] += 1
            use[row] = False
    if spec.near:
        use &= _first_wordings(questions, use, facts)
    order = _order(spec, keys, counts, np.flatnonzero(use))
    facts["questions_drawn"] = len(order)
    if not len(order):
        raise TmkdError(
            f"collect {name}: no question is left: {', '.join(f'{n} {what}' for what, n in facts.items() if n)}"
        )
    place = np.full(len(questions), -1)
    place[order] = np.arange(len(order))
    table = table.append_column("part", _head_or_tail(spec.head, counts, facts))
    table = table.append_column("place", pa.array(place, pa.int32(), mask=place < 0))
    pq.write_table(table, folder / QUESTIONS, compression="zstd")
    return dict(facts)


def require_question(name: str, questions: Iterable[str], guard: Guard) -> None:
    """Check that the guard leaves a question to search for.  Raises: TmkdError when it leaves none."""
    kept = (
        question and text_key(question) not in guard.questions and not guard.near_question(question)
        for question in questions
    )
    if not any(kept):
        raise TmkdError(f"collect {name}: no question is left: all are empty, or repeat one of a dev or test set")


def read_questions(folder: Path) -> pa.Table:
    """Read the questions to search for, in search order: question, source, group (string)."""
    table = pq.read_table(folder / QUESTIONS, columns=["question", "source", "group", "place"])
    return table.filter(table["place"].is_valid()).sort_by("place").drop_columns("place").combine_chunks()


def read_part(folder: Path, part: Literal["head", "all"]) -> pa.Table:
    """Read the questions of the head, or all, searched for or not, in file order: group, question (string).

    Without a split every question belongs to the head.
    """
    table = pq.read_table(folder / QUESTIONS, columns=["group", "question", "part"])
    in_part = pc.fill_null(pc.equal(table["part"], part), True)
    return (table if part == "all" else table.filter(in_part)).drop_columns("part").combine_chunks()


def known_groups(folder: Path) -> set[str]:
    """Read the groups (question ids) of all questions, sampled or not."""
    return set(pq.read_table(folder / QUESTIONS, columns=["group"])["group"].to_pylist())


def _distinct(spec: CollectSpec, labels: LabelSet, base: Path, facts: Counter[str]) -> tuple[pa.Table, list[str]]:
    """Merge equal questions: the first wording with the sum of counts; and each question's `text_key`."""
    tables = [read_source(source, base, labels, need=("question",)) for source in spec.questions]
    table = pa.concat_tables(tables)
    facts["questions"] = table.num_rows
    first: dict[str, int] = {}
    sums: list[float] = []
    rows: list[int] = []
    for row, (question, count) in enumerate(
        zip(table["question"].to_pylist(), table["count"].to_pylist(), strict=True)
    ):
        if not question:
            facts["questions_empty"] += 1
            continue
        place = first.setdefault(text_key(question), len(rows))
        if place == len(rows):
            rows.append(row)
            sums.append(count)
        else:
            sums[place] += count
    facts["question_duplicates"] = table.num_rows - len(rows) - facts["questions_empty"]
    table = table.take(pa.array(rows, pa.int64()))
    column = table.schema.get_field_index("count")
    return table.set_column(column, "count", pa.array(sums, pa.float64())), list(first)


def _first_wordings(questions: list[str], use: np.ndarray, facts: Counter[str]) -> np.ndarray:
    """Mask of the questions in `use` whose keyword set is new, bool (questions,)."""
    seen: set[bytes] = set()
    first = np.zeros(len(questions), dtype=bool)
    for row in np.flatnonzero(use):
        # The first bytes of a digest suffice, and a long log takes 50 bytes a question.
        kind = bytes.fromhex(digest_bytes(" ".join(sorted(keyword_set(questions[row]))).encode())[:16])
        first[row] = kind not in seen
        seen.add(kind)
    facts["near_duplicate_questions"] = int(use.sum() - first.sum())
    return first


def _order(spec: CollectSpec, keys: list[str], counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows to search for, in order: file order, or a random order given by a hash of seed and question.

    `sample` rows are drawn without replacement with probabilities proportional to their counts.
    """
    if spec.sample is None and spec.limit is None:
        return rows
    drawn = [f"{spec.seed} {keys[row]}" for row in rows]
    digests = [digest_bytes(text.encode())[:32] for text in drawn]
    if spec.sample is None:
        return rows[sorted(range(len(rows)), key=lambda place: (digests[place], keys[rows[place]]))]
    sampling_keys = [
        exponential(digest) / count if count > 0 else math.inf
        for digest, count in zip(digests, counts[rows], strict=True)
    ]
    return rows[sorted(range(len(rows)), key=lambda place: (sampling_keys[place], digests[place]))[: spec.sample]]


def _head_or_tail(head: float | None, counts: np.ndarray, facts: Counter[str]) -> pa.Array:
    """Split questions into head and tail by cumulative traffic; ties in file order."""
    if head is None:
        return pa.nulls(len(counts), pa.string())
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    in_head = np.zeros(len(counts), dtype=bool)
    in_head[order] = before < head * counts.sum()
    facts["head_questions"] = int(in_head.sum())
    facts["tail_questions"] = int((~in_head).sum())
    return pa.array(np.where(in_head, "head", "tail").tolist(), pa.string())
