"""The report of a run, and its file report.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmkd.data.words import count_words
from tmkd.errors import TmkdError
from tmkd.evaluate.results import Result
from tmkd.evaluate.speed import Speed
from tmkd.store import write_atomic

if TYPE_CHECKING:
    from tmkd.data.pairs import Corpus

ROW_KEYS = (
    *("row", "task", "split", "accuracy", "auc", "mrr", "map", "ndcg_10"),
    *("parameters", "bytes", "pairs_per_second", "seed", "teachers_seed", "seconds_to_make"),
)


@dataclass(frozen=True, slots=True)
class DataSet:
    """One set of pairs as in Table 3: counts of pairs, labels and questions, mean words (split at white space)."""

    name: str
    pairs: int
    labelled: int
    positive: int
    questions: int
    question_words: float
    passage_words: float


@dataclass(frozen=True, slots=True)
class Report:
    """Content of a run's report; `date` is written as given, `speeds` maps a row to its measured speed."""

    name: str
    date: str
    machine: str
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    data: tuple[DataSet, ...] = ()
    speeds: Mapping[str, Speed] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    teachers_seeds: tuple[int, ...] = (1,)


def data_set(name: str, corpus: Corpus) -> DataSet:
    """Counts of a corpus, in one pass over its pairs."""
    pairs = labelled = positive = question_words = passage_words = 0
    groups: set[str] = set()
    for pair in corpus.pairs():
        pairs += 1
        labelled += pair.label is not None
        positive += pair.label == corpus.labels.positive_index
        question_words += count_words(pair.question)
        passage_words += count_words(pair.passage)
        groups.add(pair.group)
    each = max(pairs, 1)
    return DataSet(name, pairs, labelled, positive, len(groups), question_words / each, passage_words / each)


def write_report_json(path: Path, report: Report) -> None:
    """Write the report for programs: `rows` is a list of objects with the keys ROW_KEYS, measures in [0, 1] or null.

    `details` has, for each of `rows`, its kind, the questions ranked and left out, and warnings, if any; then data,
    speeds, notes.
    """
    facts = asdict(report)
    results = facts.pop("results")
    facts["rows"] = [{key: result[key] for key in ROW_KEYS} for result in results]
    facts["details"] = [
        {key: value for key, value in result.items() if key not in ROW_KEYS and (key, value) != ("warnings", ())}
        for result in results
    ]
    write_atomic(path, (json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_report(path: Path) -> Report:
    """Read a report.json back. Raises: TmkdError when it is missing or malformed."""
    try:
        facts: dict[str, Any] = json.loads(path.read_bytes())
        rows, details = facts.pop("rows"), facts.pop("details")
        facts["results"] = tuple(
            Result(**row, **detail | {"warnings": tuple(detail.get("warnings", ()))})
            for row, detail in zip(rows, details, strict=True)
        )
        facts["data"] = tuple(DataSet(**item) for item in facts["data"])
        facts["speeds"] = {name: Speed(**item) for name, item in facts["speeds"].items()}
        facts |= {key: tuple(facts[key]) for key in ("seeds", "teachers_seeds", "notes") if key in facts}
        return Report(**facts)
    except FileNotFoundError as error:
        raise TmkdError(f"{path}: no report yet; make it with: tmkd evaluate RECIPE") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TmkdError(f"{path}: not a report ({error}); remove it and run: tmkd evaluate RECIPE") from error
