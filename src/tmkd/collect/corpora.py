"""Questions and passages → a stage-1 corpus of unlabelled pairs (§3.1.1 step 1)."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from tmkd.collect.guard import Guard
from tmkd.collect.questions import known_groups, read_questions
from tmkd.collect.shards import QUESTIONS, Chunk, Ledger, Question, Rules, ShardResult, searcher, truncate_shard
from tmkd.collect.shuffled import first_of_shuffled
from tmkd.data.duplicates import deduplicate
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import EXTRAS, SCHEMA, Shard, seal_corpus, write_shards
from tmkd.data.sources import read_source
from tmkd.engines.engine import Done, Engine, PieceFiles, Work, in_order
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.schema import CollectSpec
from tmkd.search.index import SEAL, WORDS
from tmkd.search.passage_store import Texts
from tmkd.search.trec_run import Ranked, read_run
from tmkd.store import WORK, digest_file, digest_json

Report = Callable[[int, int], None]
_SHARD_VERSION = 1  # raise it when a code change gives other pairs for the same inputs


@dataclass(frozen=True)
class CorpusPlan:
    """Stage-1 corpus to be collected: its entry in the recipe, and the classes, guard and folder that this refers to.

    `base` is the folder that file names are relative to.
    """

    name: str
    spec: CollectSpec
    labels: LabelSet
    guard: Guard
    base: Path


@dataclass(frozen=True)
class SearchFolders:
    """Artifacts that a corpus is searched with: the index of the passages, and the questions."""

    index: Path
    questions: Path


class _Workers(NamedTuple):
    """Engine, and the most workers that have enough to do."""

    engine: Engine
    most: int


def collect_corpus(
    plan: CorpusPlan, search: SearchFolders | None, folder: Path, report: Report, engine: Engine
) -> dict[str, object]:
    """Write a corpus of unlabelled pairs into `folder`; return counts of the pairs kept and dropped, by reason.

    Pairs given as files come first and count towards `limit` but are never cut by it. Then each question of
    `search`, in order, is paired with the best passages of its top documents (with url, rank and score), as long as
    all of its pairs fit into the limit; with `shuffle` the limit takes the first of a random order of all pairs found.
    The guard removes pairs that leak dev or test texts. A shard whose inputs are unchanged is reused, so an
    interrupted or extended collection only makes the missing shards.
    `report` is called with (questions done, questions expected).
    Raises: TmkdError for a faulty input file, or when no pair is found.
    """
    spec, labels, guard, facts = plan.spec, plan.labels, plan.guard, Counter[str]()
    given = given_pairs(spec, labels, guard, plan.base, facts)
    shards = write_shards(folder, "given", [given] if given.num_rows else [])
    if search is not None:
        rules = _rules(spec, guard, search.index, given, facts)
        table = read_questions(search.questions)
        facts["questions_asked"] = table.num_rows
        stream = _questions(spec, table, known_groups(search.questions), plan.base, facts)
        # Each worker should have at least two shards to make, or its start costs more than it saves.
        workers = _Workers(engine, table.num_rows // (2 * QUESTIONS))
        most = sys.maxsize if spec.limit is None else max(spec.limit - given.num_rows, 0)
        if spec.shuffle:
            found = folder / WORK
            found.mkdir(parents=True, exist_ok=True)
            every = _search(spec, rules, stream, found, sys.maxsize, facts, report, workers)
            shards += write_shards(folder, "shuffled", [first_of_shuffled(found, every, spec.seed, most)])
        else:
            shards += _search(spec, rules, stream, folder, most, facts, report, workers)
    if not shards:
        raise TmkdError(f"collect {plan.name}: no pairs: {_empty_reason(plan, search, facts)}")
    return {"pairs": len(seal_corpus(folder, labels, shards)), **facts}


def _empty_reason(plan: CorpusPlan, search: SearchFolders | None, facts: Counter[str]) -> str:
    """Explain an empty corpus, and name a remedy."""
    spec = plan.spec
    if facts["run_unknown_documents"] and spec.run is not None and search is not None:
        first = next(iter(read_run(spec.run, plan.base, spec.top).values()))[0].docid
        return (
            f"none of {facts['run_unknown_documents']} documents of the run is in the index: the run has '{first}', "
            f"the index '{Texts(search.index).url(0)}'; map the column of the run's ids: columns: {{url: …}}"
        )
    if spec.limit is not None and spec.limit < spec.top:
        return f"not one question's pairs fit into the limit of {spec.limit}; raise it"
    return "no passage shares a word with any question, or the guard removed all; check the dev and test sets"


def given_pairs(spec: CollectSpec, labels: LabelSet, guard: Guard, base: Path, facts: Counter[str]) -> pa.Table:
    """Pairs given as files, deduplicated and guarded; the columns of EXTRAS are null."""
    tables = [read_source(source, base, labels, label="none") for source in spec.pairs]
    table, counts = deduplicate(pa.concat_tables([SCHEMA.empty_table(), *tables]), "error")
    facts["given_duplicates"] = counts["duplicates"]
    table, counts = guard.clean(table, "qa")
    facts.update({f"given_leaked_{what}": number for what, number in counts.items() if what != "premises"})
    facts["given_pairs"] = table.num_rows
    for field in EXTRAS:
        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table


def _rules(spec: CollectSpec, guard: Guard, index: Path, given: pa.Table, facts: Counter[str]) -> Rules:
    """Build the rules for found pairs; count the indexed passages that leak dev or test."""
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
        spec.top,
        spec.keep,
        spec.seed,
        frozenset(leaked),
        frozenset(given["id"].to_pylist()),
        {question: frozenset(passages) for question, passages in held.items()},
    )


def _questions(
    spec: CollectSpec, table: pa.Table, known: set[str], base: Path, facts: Counter[str]
) -> Iterator[Question]:
    """Iterate over the questions in order, with their documents from the run file; `known` are all question ids."""
    if spec.run is None:
        yield from _without_run(table)
        return
    run = read_run(spec.run, base, spec.top)
    facts["run_unknown_questions"] = len(run.keys() - known)
    require_known_questions(spec.run, run, known, base)
    nothing: list[Ranked] = []
    for question in _without_run(table):
        yield question._replace(run=run.get(question.group, nothing))


def require_known_questions(
    source: SourceSpec, run: Mapping[str, Sequence[Ranked]], known: Collection[str], base: Path
) -> None:
    """Check that a TREC run has some of these question ids.  Raises: TmkdError naming an id of either side."""
    if run.keys().isdisjoint(known):
        raise TmkdError(
            f"{base / source.file}: has no question id of the question files: it has '{next(iter(run), '')}', "
            f"they have '{next(iter(known), '')}'; map their ids with columns: {{group: …}}"
        )


def _without_run(table: pa.Table) -> Iterator[Question]:
    for batch in table.to_batches(QUESTIONS):
        yield from map(Question, *(batch.column(name).to_pylist() for name in ("question", "source", "group")))


def _search(
    spec: CollectSpec,
    rules: Rules,
    asked: Iterable[Question],
    folder: Path,
    most: int,
    facts: Counter[str],
    report: Report,
    workers: _Workers,
) -> list[Shard]:
    """Search shard by shard for at most so many pairs; the last shard is cut between two questions."""
    ledger, remaining = Ledger(folder), most
    sent: dict[int, Chunk] = {}

    def chunks() -> Iterator[Chunk]:
        for place, chunk in enumerate(_chunks(asked, _shared_digest(rules))):
            result = ledger.find(chunk)
            sent[place] = chunk if result is None else chunk._replace(questions=[], result=result)
            yield sent[place]

    def files(chunk: Chunk) -> PieceFiles:
        return PieceFiles(written=(folder / chunk.name,) if chunk.result is None else ())

    def made() -> Iterator[Done[ShardResult]]:
        work = Work(searcher, (rules, folder), lambda chunk: chunk.name, files, (rules.index,))
        for place, result in workers.engine.map(work, chunks(), workers.most):
            if sent[place].result is None:
                ledger.add(sent[place], result)
            yield place, result

    shards: list[Shard] = []
    done = 0
    for place, result in in_order(made()):
        chunk = sent.pop(place)
        fitting = truncate_shard(result, chunk, folder, remaining)
        if fitting.shard is not None:
            shards.append(fitting.shard)
        found, without = sum(fitting.pairs), fitting.pairs.count(0)
        facts["found_pairs"] += found
        facts["questions_without_passages"] += without
        facts["questions_used"] += len(fitting.pairs) - without
        facts["run_unknown_documents"] += fitting.unknown
        done, remaining = done + len(fitting.pairs), remaining - found
        if remaining <= 0 or len(fitting.pairs) < len(result.pairs):
            break
        report(done, min(facts["questions_asked"], done + -(-remaining // spec.top)))
    return shards


def _shared_digest(rules: Rules) -> str:
    """Digest of the inputs that all shards share: everything except their questions."""
    held = sorted((question, sorted(passages)) for question, passages in rules.held.items())
    excluded = [sorted(rules.leaked), sorted(rules.given), held]
    return digest_json(
        [_SHARD_VERSION, digest_file(rules.index / WORDS / SEAL), rules.top, rules.keep, rules.seed, *excluded]
    )


def _chunks(asked: Iterable[Question], made_from: str) -> Iterator[Chunk]:
    stream = iter(asked)
    for number, first in enumerate(stream):
        questions = [first, *islice(stream, QUESTIONS - 1)]
        yield Chunk(number, digest_json([made_from, questions]), questions)
