"""Judges' votes → golden labels (§4.1: positive above two thirds) and inter-annotator agreement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import SCHEMA
from tmkd.data.sources import Asked, read_source, read_votes
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec, VotesSpec

_MIN_COMPARED = 10  # comparable votes a judge needs to be listed as least agreeing
_MAX_NAMED = 3

# The votes on one pair: judge → class index.
Ballot = Mapping[str, int]


@dataclass(frozen=True)
class Judge:
    """Agreement of one judge with the others.

    `votes` in all; `compared` is how many were on pairs whose other votes have a majority; `agreement` is the share of
    these that match it, None without any.
    """

    name: str
    votes: int
    compared: int
    agreement: float | None


def read_labelled(
    source: SourceSpec, base: Path, labels: LabelSet, *, label: Asked = "optional"
) -> tuple[pa.Table, dict[str, dict[str, object]]]:
    """Read labelled pairs as `read_source` does, or from a file of votes; the second value describes the votes.

    Raises: TmkdError naming file and row; for votes on more than two classes, or when no pair has enough votes.
    """
    if source.votes is None:
        return read_source(source, base, labels, label=label), {}
    if len(labels.names) != 2:
        raise TmkdError(
            f"{source.file}: votes give labels of two classes (§4.1); task {labels.task} has {len(labels.names)}; "
            "give labels instead"
        )
    table, facts = _judged(read_votes(source, base, labels), source.votes, labels)
    if not table.num_rows:
        raise TmkdError(
            f"{source.file}: none of its pairs has {source.votes.fewest} votes; give more, or set votes: {{fewest: …}}"
        )
    return table, {f"judges {source.source or Path(source.file).name}": facts}


def is_positive(yes: int, votes: int, at_least: int | None = None) -> bool:
    """True for a pair with more than two thirds positive votes (§4.1), or with `at_least` so many."""
    return 3 * yes > 2 * votes if at_least is None else yes >= at_least


def _judged(table: pa.Table, rule: VotesSpec, labels: LabelSet) -> tuple[pa.Table, dict[str, object]]:
    """Aggregate votes: a row per pair with enough votes, in the order of first votes; and counts."""
    first: dict[str, int] = {}
    cast: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    columns = (table[name].to_pylist() for name in ("id", "judge", "label"))
    for row, (pair, judge, vote) in enumerate(zip(*columns, strict=True)):
        first.setdefault(pair, row)
        cast[pair][judge].add(vote)
    given = [len(votes) for by in cast.values() for votes in by.values()]
    # Contradictory votes of one judge on a pair are dropped.
    ballots = {
        pair: {judge: next(iter(votes)) for judge, votes in by.items() if len(votes) == 1} for pair, by in cast.items()
    }
    kept = {pair: ballot for pair, ballot in ballots.items() if len(ballot) >= rule.fewest}
    yes = {pair: sum(vote == labels.positive_index for vote in ballot.values()) for pair, ballot in kept.items()}
    chosen = [
        labels.positive_index if is_positive(yes[pair], len(ballot), rule.at_least) else 1 - labels.positive_index
        for pair, ballot in kept.items()
    ]
    judged = table.select(SCHEMA.names).take(pa.array([first[pair] for pair in kept], pa.int64()))
    place = SCHEMA.get_field_index("label")
    facts = {
        "votes": sum(map(len, ballots.values())),
        "pairs": len(kept),
        "pairs_with_too_few_votes": len(ballots) - len(kept),
        "ties": sum(2 * yes[pair] == len(ballot) for pair, ballot in kept.items()),
        "repeated_votes": table.num_rows - sum(given),
        "contradictions": sum(votes > 1 for votes in given),
        **_agreement_facts(ballots.values(), len(labels.names)),
    }
    return judged.set_column(place, SCHEMA.field(place), pa.array(chosen, pa.int8())), facts


# -- agreement -------------------------------------------------------------------------------------------------------


def fleiss_kappa(counts: np.ndarray) -> float | None:
    """Fleiss' κ of vote counts, int (items, categories); items with fewer than 2 votes are left out.

    1 is full agreement, 0 chance level. With equally many votes on every item this is Fleiss (1971); otherwise each
    item has the same weight. None without items, or when all votes are for one category.
    """
    votes = counts.sum(axis=1)
    counts, votes = counts[votes >= 2].astype(np.float64), votes[votes >= 2].astype(np.float64)
    if not len(counts):
        return None
    observed = ((counts * (counts - 1)).sum(axis=1) / (votes * (votes - 1))).mean()
    expected = ((counts / votes[:, None]).mean(axis=0) ** 2).sum()
    return None if (counts > 0).any(axis=0).sum() == 1 else float((observed - expected) / (1 - expected))


def judge_agreement(ballots: Iterable[Ballot]) -> list[Judge]:
    """Agreement of every judge with the majority of the others, lowest first, None last."""
    votes: dict[str, int] = defaultdict(int)
    compared: dict[str, int] = defaultdict(int)
    agreed: dict[str, int] = defaultdict(int)
    for ballot in ballots:
        counts = np.bincount([*ballot.values()], minlength=2) if ballot else np.zeros(2, np.int64)
        for judge, vote in ballot.items():
            votes[judge] += 1
            others = counts.copy()
            others[vote] -= 1
            best = np.flatnonzero(others == others.max())
            if others.any() and len(best) == 1:
                compared[judge] += 1
                agreed[judge] += int(best[0]) == vote
    found = [
        Judge(name, number, compared[name], agreed[name] / compared[name] if compared[name] else None)
        for name, number in votes.items()
    ]
    return sorted(found, key=lambda one: (one.agreement is None, one.agreement, one.name))


def _agreement_facts(ballots: Iterable[Ballot], classes: int) -> dict[str, object]:
    """Summarise the votes: κ, number of judges, votes per judge, and the least agreeing judges."""
    ballots = list(ballots)
    counts = np.array([np.bincount([*ballot.values()], minlength=classes) for ballot in ballots if ballot])
    kappa = fleiss_kappa(counts.reshape(-1, classes))
    all_judges = judge_agreement(ballots)
    numbers = sorted(judge.votes for judge in all_judges)
    known = [judge for judge in all_judges if judge.agreement is not None and judge.compared >= _MIN_COMPARED]
    return {
        "kappa": None if kappa is None else round(kappa, 3),
        "judges": len(all_judges),
        "votes_per_judge": f"{numbers[0]} to {numbers[-1]}" if numbers else None,
        "least_agreeing": "; ".join(
            f"{judge.name} {100 * float(judge.agreement or 0):.1f} % of {judge.compared}"
            for judge in known[:_MAX_NAMED]
        ),
    }
