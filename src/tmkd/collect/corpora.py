"""Questions and passages → a stage-1 corpus of unlabelled pairs (§3.1.1 step 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from tmkd.collect.candidates import Candidate, candidates
from tmkd.collect.documents import read_documents
from tmkd.collect.guard import Guard, key
from tmkd.collect.index import TantivyIndex
from tmkd.collect.passages import passages
from tmkd.errors import TmkdError
from tmkd.pairs import EXTRAS, SCHEMA, LabelSet, pair_id, pair_table, write_corpus
from tmkd.recipe import Gather
from tmkd.sources import deduplicate, read_source
from tmkd.store import digest_bytes, digest_file, digest_json

_QUESTIONS_AT_ONCE = 2_000
INDEX = ".index"  # hidden: its bytes differ from run to run, so it is no part of the artifact's digest


def collect_corpus(
    name: str,
    gather: Gather,
    labels: LabelSet,
    guard: Guard,
    folder: Path,
    base: Path,
    report: Callable[[int, int], None],
) -> dict[str, Any]:
    """Write a corpus of unlabelled pairs into `folder`, and return counts of what was taken and left out.

    Given pairs come first and all stay; then questions in an order drawn with the seed, each with the best passages of
    its top documents (url, rank and score are kept), while whole questions fit into the limit. What touches dev or test
    is left out. The search index in `folder`/.index is built once and found again; `report` hears (questions done, of).
    Raises: TmkdError for what is wrong in the files, or when no pair is found.
    """
    facts: Counter[str] = Counter()
    given = _given(gather, labels, guard, base, facts)
    found: Iterator[pa.Table] = iter(())
    if gather.questions:
        index = TantivyIndex.build(folder / INDEX, _passages(gather, labels, base), _origin(gather, base))
        facts["passages"] = len(index)
        questions = _questions(gather, labels, guard, base, facts)
        found = _found(gather, index, questions, guard, set(given["id"].to_pylist()), facts, report)
    corpus = write_corpus(folder, labels, chain([given], found))
    if not len(corpus):
        raise TmkdError(f"collect {name}: no pairs: no passage has a word of any question; look at the files it names")
    return {"pairs": len(corpus), **facts}


class _Question(NamedTuple):
    """A question to search for, the word for where it is from, and the group that its pairs form."""

    text: str
    source: str
    group: str


def _given(gather: Gather, labels: LabelSet, guard: Guard, base: Path, facts: Counter[str]) -> pa.Table:
    """The pairs given as files, clean and each once; with empty columns for what only a search finds."""
    tables = [read_source(source, base, labels, label="none") for source in gather.pairs]
    table, counts = deduplicate(pa.concat_tables([SCHEMA.empty_table(), *tables]), "error")
    facts["given_duplicates"] = counts["duplicates"]
    table, counts = guard.clean(table, "qa")
    facts.update({f"given_leaked_{what}": number for what, number in counts.items() if what != "premises"})
    facts["given_pairs"] = table.num_rows
    for field in EXTRAS:
        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table


def _questions(gather: Gather, labels: LabelSet, guard: Guard, base: Path, facts: Counter[str]) -> list[_Question]:
    """The questions in their drawn order, each once, without those of dev and test.

    The order is a hash's: a question keeps its place among the others when more are added.
    """
    known: dict[str, _Question] = {}
    for source in gather.questions:
        table = read_source(source, base, labels, need=("question",))
        columns = (table[name].to_pylist() for name in _Question._fields[1:])
        for question in map(_Question, table["question"].to_pylist(), *columns):
            facts["questions"] += 1
            text = key(question.text)
            facts["question_duplicates"] += text in known
            known.setdefault(text, question)
    leaked = guard.questions & known.keys()
    facts["leaked_questions"] = len(leaked)
    drawn = sorted((digest_bytes(f"{gather.seed} {text}".encode())[:32], text) for text in known.keys() - leaked)
    return [known[text] for _, text in drawn]


def _passages(gather: Gather, labels: LabelSet, base: Path) -> Iterator[tuple[str, str, str]]:
    """(url, title, passage) of every document, then of the passages given; each of these is its own document."""
    for source in gather.documents:
        for document in read_documents(source, base):
            for passage in passages(document.text, gather.words):
                yield document.url, document.title, passage
    for source in gather.passages:
        table = read_source(source, base, labels, need=("passage",))
        for row, (word, passage) in enumerate(
            zip(*(table[name].to_pylist() for name in ("source", "passage")), strict=True)
        ):
            yield f"{word}#{row + 1}", "", passage


def _origin(gather: Gather, base: Path) -> str:
    """What the index is made from: it is built anew when this changes."""
    sources = [*gather.documents, *gather.passages]
    paths = [base / Path(source.file).expanduser() for source in sources]
    files = [digest_file(path) if path.is_file() else "" for path in paths]  # a missing one is told by its reader
    return digest_json([files, [source.model_dump() for source in sources], len(gather.documents), gather.words])


def _found(
    gather: Gather,
    index: TantivyIndex,
    questions: list[_Question],
    guard: Guard,
    given: set[str],
    facts: Counter[str],
    report: Callable[[int, int], None],
) -> Iterator[pa.Table]:
    """Tables of the pairs found, whole questions at a time, until the limit is reached."""
    leaked = {passage for passage in index.passages() if guard.shares_passage(passage)}
    facts["leaked_passages"] = len(leaked)
    room = None if gather.limit is None else gather.limit - len(given)
    expected = len(questions) if room is None else min(len(questions), max(room, 0) // gather.top)
    for start in range(0, len(questions), _QUESTIONS_AT_ONCE):
        rows: list[tuple[_Question, Candidate]] = []
        for question in questions[start : start + _QUESTIONS_AT_ONCE]:
            hits = [
                hit
                for hit in candidates(index, question.text, gather.top)
                if hit.passage not in leaked
                and pair_id(question.text, hit.passage) not in given
                and (key(question.text), key(hit.passage)) not in guard.pairs
            ]
            if room is not None and len(rows) + len(hits) > room:
                room = 0
                break
            facts["questions_without_passages"] += not hits
            facts["questions_used"] += bool(hits)
            rows.extend((question, hit) for hit in hits)
        facts["found_pairs"] += len(rows)
        yield _table(rows)
        done = start + _QUESTIONS_AT_ONCE
        report(min(done, len(questions)), max(expected, min(done, len(questions))))
        if room is not None:
            room -= len(rows)
            if room <= 0:
                return


def _table(rows: list[tuple[_Question, Candidate]]) -> pa.Table:
    """Found pairs as rows of SCHEMA and EXTRAS, without labels."""
    table = pair_table(
        [question.text for question, _ in rows],
        [hit.passage for _, hit in rows],
        groups=[question.group for question, _ in rows],
    )
    place = SCHEMA.get_field_index("source")
    table = table.set_column(
        place, SCHEMA.field(place), pa.array([question.source for question, _ in rows], pa.string())
    )
    for field in EXTRAS:
        table = table.append_column(field, pa.array([getattr(hit, field.name) for _, hit in rows], field.type))
    return table
