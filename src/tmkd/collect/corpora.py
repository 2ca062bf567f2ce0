"""Questions and passages → a stage-1 corpus of unlabelled pairs (§3.1.1 step 1)."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from tmkd.collect.guard import Guard
from tmkd.collect.questions import known_groups, read_questions
from tmkd.collect.shards import QUESTIONS, Chunk, Ledger, Question, Rules, cut, searcher
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import EXTRAS, SCHEMA, Shard, seal_corpus, write_shards
from tmkd.data.sources import deduplicate, read_source
from tmkd.errors import TmkdError
from tmkd.recipe.schema import CollectSpec
from tmkd.search.index import SEAL, WORDS
from tmkd.search.passage_store import Texts
from tmkd.search.trec_run import Ranked, read_run
from tmkd.store import digest_file, digest_json
from tmkd.workers import map_in_processes

Report = Callable[[int, int], None]
_FORM = 1  # of shards: raised when the same inputs make other pairs than before


def collect_corpus(
    name: str,
    gather: CollectSpec,
    labels: LabelSet,
    guard: Guard,
    folder: Path,
    base: Path,
    report: Report,
    *,
    index: Path | None = None,
    questions: Path | None = None,
    processes: int = 1,
) -> dict[str, Any]:
    """Write a corpus of unlabelled pairs into `folder`, and return counts of what was taken and left out.

    Given pairs come first and all stay; then the questions of the folder `questions` in their order, each with the best
    passages of its top documents in `index` (url, rank and score are kept), while whole questions fit into the limit.
    What touches dev or test is left out. A shard made before from the same is kept, so an interrupted or a grown corpus
    only adds what is missing. `report` hears (questions done, of).
    Raises: TmkdError for what is wrong in the files, or when no pair is found.
    """
    facts: Counter[str] = Counter()
    given = _given(gather, labels, guard, base, facts)
    shards = write_shards(folder, "given", [given] if given.num_rows else [])
    if index is not None and questions is not None:
        rules = _rules(gather, guard, index, given, facts)
        table = read_questions(questions)
        facts["questions_asked"] = table.num_rows
        asked = _asked(gather, table, known_groups(questions), base, facts)
        # A process of its own has to be worth its start.
        processes = min(processes, table.num_rows // (2 * QUESTIONS))
        shards += _search(gather, rules, asked, folder, given.num_rows, facts, report, processes)
    if not shards:
        raise TmkdError(f"collect {name}: no pairs: {_why(gather, facts)}")
    return {"pairs": len(seal_corpus(folder, labels, shards)), **facts}


def _why(gather: CollectSpec, facts: Counter[str]) -> str:
    """Why a corpus has no pair, and what to do."""
    if facts["run_unknown_documents"]:
        return f"none of {facts['run_unknown_documents']} documents of the run is here; look at the ids in the files"
    if gather.limit is not None and gather.limit < gather.top:
        return f"not one question's pairs fit into the limit of {gather.limit}; raise it"
    return "no passage has a word of any question, or the guard left out those that have; look at the files it names"


def _given(gather: CollectSpec, labels: LabelSet, guard: Guard, base: Path, facts: Counter[str]) -> pa.Table:
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


def _rules(gather: CollectSpec, guard: Guard, index: Path, given: pa.Table, facts: Counter[str]) -> Rules:
    """What is left out of what search finds, with the passages of dev and test counted."""
    texts = Texts(index)
    leaked: set[str] = set()
    for passage in texts.passages():
        shared = guard.shares_passage(passage)
        near = not shared and guard.near_passage(passage)
        facts["leaked_passages"] += shared
        facts["near_leaked_passages"] += near
        if shared or near:
            leaked.add(passage)
    held: dict[str, set[str]] = defaultdict(set)
    for question, passage in guard.pairs:
        held[question].add(passage)
    return Rules(
        index,
        gather.top,
        gather.keep,
        gather.seed,
        frozenset(leaked),
        frozenset(given["id"].to_pylist()),
        {question: frozenset(passages) for question, passages in held.items()},
    )


def _asked(
    gather: CollectSpec, table: pa.Table, known: set[str], base: Path, facts: Counter[str]
) -> Iterator[Question]:
    """The questions in their order, with what the run file found for them; `known` are the ids of all questions."""
    if gather.run is None:
        yield from _each(table)
        return
    run = read_run(gather.run, base, gather.top)
    facts["run_unknown_questions"] = len(run.keys() - known)
    if not run.keys() & known:
        raise TmkdError(
            f"{base / gather.run.file}: names no question of the question files: it has '{next(iter(run))}', "
            f"they have '{next(iter(known))}'; map their ids with columns: {{group: …}}"
        )
    nothing: list[Ranked] = []
    for question in _each(table):
        yield question._replace(run=run.get(question.group, nothing))


def _each(table: pa.Table) -> Iterator[Question]:
    for batch in table.to_batches(QUESTIONS):
        yield from map(Question, *(batch.column(name).to_pylist() for name in ("question", "source", "group")))


def _search(
    gather: CollectSpec,
    rules: Rules,
    asked: Iterable[Question],
    folder: Path,
    given: int,
    facts: Counter[str],
    report: Report,
    processes: int,
) -> list[Shard]:
    """The shards of the pairs found, whole questions at a time, until the limit is reached."""
    ledger = Ledger(folder)
    room = sys.maxsize if gather.limit is None else max(gather.limit - given, 0)
    sent: deque[Chunk] = deque()

    def chunks() -> Iterator[Chunk]:
        for chunk in _chunks(asked, _made_from(rules)):
            made = ledger.find(chunk)
            sent.append(chunk if made is None else chunk._replace(questions=[], made=made))
            yield sent[-1]

    shards: list[Shard] = []
    done = 0
    for made in map_in_processes(searcher, (rules, folder), chunks(), processes):
        chunk = sent.popleft()
        if chunk.made is None:
            ledger.add(chunk, made)
        fitting = cut(made, chunk, folder, room)
        if fitting.shard is not None:
            shards.append(fitting.shard)
        found, without = sum(fitting.pairs), fitting.pairs.count(0)
        facts["found_pairs"] += found
        facts["questions_without_passages"] += without
        facts["questions_used"] += len(fitting.pairs) - without
        facts["run_unknown_documents"] += fitting.unknown
        done, room = done + len(fitting.pairs), room - found
        if room <= 0 or len(fitting.pairs) < len(made.pairs):
            break
        report(done, min(facts["questions_asked"], done + -(-room // gather.top)))
    return shards


def _made_from(rules: Rules) -> str:
    """What all shards of a corpus depend on beside their questions."""
    held = sorted((question, sorted(passages)) for question, passages in rules.held.items())
    without = [sorted(rules.leaked), sorted(rules.given), held]
    return digest_json([_FORM, digest_file(rules.index / WORDS / SEAL), rules.top, rules.keep, rules.seed, *without])


def _chunks(asked: Iterable[Question], made_from: str) -> Iterator[Chunk]:
    stream = iter(asked)
    for number, first in enumerate(stream):
        questions = [first, *islice(stream, QUESTIONS - 1)]
        yield Chunk(number, digest_json([made_from, questions]), questions)
