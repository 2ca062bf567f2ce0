"""The report of a run, and its file report.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmkd.collect.overlaps import Overlap
from tmkd.data.words import count_words
from tmkd.errors import TmkdError
from tmkd.evaluate.comparisons import Comparison
from tmkd.evaluate.results import Result
from tmkd.evaluate.shares import Share
from tmkd.evaluate.speed import Speed
from tmkd.metrics.calibration import ReliabilityBin

if TYPE_CHECKING:
    import pyarrow as pa

    from tmkd.data.labels import LabelSet
    from tmkd.data.pairs import Corpus

ROW_KEYS = (
    *("row", "task", "split", "accuracy", "auc", "mrr", "map", "ndcg_10"),
    *("parameters", "bytes", "pairs_per_second", "seed", "teachers_seed", "seconds_to_make"),
)
_RARE = ("warnings", "seen")


@dataclass(frozen=True, slots=True)
class DataSet:
    """One set of pairs as in Table 3: counts of pairs, labels and questions, mean words (split at white space).

    `classes` counts the labels of each class, in the task's order.
    """

    name: str
    pairs: int
    labelled: int
    positive: int
    questions: int
    question_words: float
    passage_words: float
    classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """Content of a run's report; `date` is written as given.

    `speeds` maps a row to its measured speed, `timed` is when they were measured side by side.
    """

    name: str
    date: str
    machine: str
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...] = ()
    shares: tuple[Share, ...] = ()
    data: tuple[DataSet, ...] = ()
    speeds: Mapping[str, Speed] = field(default_factory=dict)
    timed: str = ""
    notes: tuple[str, ...] = ()
    teachers_seeds: tuple[int, ...] = (1,)
    overlaps: tuple[Overlap, ...] = ()


def data_set(name: str, corpus: Corpus) -> DataSet:
    """Counts of a corpus, in one pass over its shards."""
    return data_set_of(name, corpus.labels, (corpus.shard(index) for index in range(len(corpus.shards))))


def data_set_of(name: str, labels: LabelSet, tables: Iterable[pa.Table]) -> DataSet:
    """Counts of tables of pairs.SCHEMA, in one pass."""
    pairs = question_words = passage_words = 0
    classes = dict.fromkeys(labels.names, 0)
    groups: set[str] = set()
    for table in tables:
        pairs += table.num_rows
        for index in table["label"].drop_null().to_pylist():
            classes[labels.names[index]] += 1
        question_words += sum(map(count_words, table["question"].to_pylist()))
        passage_words += sum(map(count_words, table["passage"].to_pylist()))
        groups.update(table["group"].to_pylist())
    each = max(pairs, 1)
    words = question_words / each, passage_words / each
    return DataSet(name, pairs, sum(classes.values()), classes[labels.positive], len(groups), *words, classes)


def report_json(report: Report) -> bytes:
    """JSON file of a report: `rows` is a list of objects with the keys ROW_KEYS, measures in [0, 1] or null.

    `details` has, for each of `rows`, its other fields, those of `_RARE` where there are some; then comparisons,
    shares, data, speeds, timed, notes, overlaps.
    """
    facts = asdict(report)
    results = facts.pop("results")
    facts["rows"] = [{key: result[key] for key in ROW_KEYS} for result in results]
    facts["details"] = [
        {key: value for key, value in result.items() if key not in ROW_KEYS and (value or key not in _RARE)}
        | {"reliability": [one._asdict() for one in result["reliability"]]}
        for result in results
    ]
    return (json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_report(path: Path) -> Report:
    """Read a report.json back. Raises: TmkdError when it is missing or malformed."""
    try:
        facts: dict[str, Any] = json.loads(path.read_bytes())
        rows, details = facts.pop("rows"), facts.pop("details")
        facts["results"] = tuple(_result(row | detail) for row, detail in zip(rows, details, strict=True))
        facts["comparisons"] = tuple(Comparison(**item) for item in facts["comparisons"])
        facts["shares"] = tuple(Share(**item) for item in facts["shares"])
        facts["overlaps"] = tuple(Overlap(**item) for item in facts["overlaps"])
        facts["data"] = tuple(DataSet(**item) for item in facts["data"])
        facts["speeds"] = {name: Speed(**item) for name, item in facts["speeds"].items()}
        facts |= {key: tuple(facts[key]) for key in ("seeds", "teachers_seeds", "notes") if key in facts}
        return Report(**facts)
    except FileNotFoundError as error:
        raise TmkdError(f"{path}: no report yet; make it with: tmkd evaluate RECIPE") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TmkdError(f"{path}: not a report ({error}); remove it and run: tmkd evaluate RECIPE") from error


def _result(fields: dict[str, Any]) -> Result:
    """Result of its JSON fields."""
    bins = tuple(ReliabilityBin(**one) for one in fields["reliability"])
    return Result(**fields | {key: tuple(fields.get(key, ())) for key in _RARE} | {"reliability": bins})
