"""Verdicts on ideas beside the paper's method: rows of recipes/ideas.yaml against plain TMKD, on dev sets alone.

    tmkd run recipes/ideas.yaml
    python -m benchmarks.ideas results/ideas

The rule was written down before the first run. Each idea is a row with the same seeds as the baseline's row. Of each
measure in MEASURES, d is the idea's mean over seeds minus the baseline's, with the sign that makes better positive. Its
standard error s is the standard deviation of d over 10,000 bootstrap draws. A draw takes as many questions as a set
has, with replacement, for both rows the same (paired), and n − 1 of the n seeds, with replacement, the same in both
rows and in all sets: with n − 1 of them the variance is that of a mean over n seeds, with n it would be too small by
(n − 1)/n, half with two seeds. d / s is the standardised difference. An idea is kept if the mean of its standardised
differences is above 2 standard errors of this mean, which is its standard deviation over the same draws, and if no
standardised difference is below −1. Everything else stays out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tmkd.errors import TmkdError
from tmkd.evaluate.measures import LabelledSet, Probabilities
from tmkd.metrics.resampling import (
    DRAWS,
    Measure,
    auc_measure,
    cross_entropy_measure,
    question_draws,
    ranking_measure,
)
from tmkd.recipe.agreement import FRAGMENT
from tmkd.report.row_fragment import ROWS, read_row

MEASURES = (  # test set of recipes/ideas.yaml, measure
    ("webqa_dev", "auc"),
    ("webqa_dev", "cross_entropy"),
    ("wikiqa_dev", "auc"),
    ("wikiqa_dev", "cross_entropy"),
    ("dl19", "ndcg_10_graded"),
)
KEPT, WORSE = 2.0, -1.0  # standard errors
_SEED = 1  # of the draws
_EQUAL = 1e-12  # difference below which two measures are the same

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RowPredictions:
    """Row on its test sets: split → the set, its digest, and the probabilities of each seed (pairs, classes)."""

    name: str
    sets: dict[str, tuple[LabelledSet, str]]
    seeds: dict[tuple[int, int], dict[str, Probabilities]]

    def measure(self, split: str, name: str) -> Measure:
        """A measure of each seed, the higher the better."""
        test, _ = self.sets[split]
        probabilities = np.stack([self.seeds[seed][split] for seed in sorted(self.seeds)])
        if name == "cross_entropy":
            costs = cross_entropy_measure(probabilities, test.labels)
            return lambda weights: -costs(weights)
        scores = probabilities[:, :, test.positive]
        if name == "auc":
            return auc_measure(scores, test.positives)
        return ranking_measure(scores, test.positives, test.groups, name, test.grades)


@dataclass(frozen=True)
class Verdict:
    """Comparison of an idea with the baseline: d and s of each of MEASURES, mean of d / s and its standard error."""

    idea: str
    differences: tuple[float, ...]
    errors: tuple[float, ...]
    mean: float
    error: float

    @property
    def worse(self) -> list[str]:
        """The measures on which the idea is worse by more than a standard error."""
        found = zip(MEASURES, self.differences, self.errors, strict=True)
        return [" ".join(measure) for measure, value, error in found if value < WORSE * error]

    @property
    def kept(self) -> bool:
        """Whether the idea is kept."""
        return self.mean > KEPT * self.error and not self.worse

    @property
    def words(self) -> str:
        """The verdict in words."""
        if self.kept:
            return "kept"
        if self.mean < -KEPT * self.error:
            return "left out: worse"
        return f"left out: worse on {', '.join(self.worse)}" if self.worse else "left out: undecided"


def judge(baseline: RowPredictions, ideas: Sequence[RowPredictions], draws: int = DRAWS) -> list[Verdict]:
    """Compare each idea with the baseline.

    Raises: TmkdError for a row without a set of MEASURES, with other pairs, other seeds, or fewer than two.
    """
    for row in (baseline, *ideas):
        _check(baseline, row)
    seeds = len(baseline.seeds)
    rng = np.random.default_rng(_SEED)
    shares = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), draws) / (seeds - 1)
    whole: dict[str, list[float]] = {row.name: [] for row in ideas}
    drawn: dict[str, list[Floats]] = {row.name: [] for row in ideas}
    sets = [split for split, _ in MEASURES]
    for split, name in MEASURES:
        groups, seed = baseline.sets[split][0].groups, _SEED + 1 + sets.index(split)  # the draws of a set are its own
        ones = np.ones((1, len(groups)), np.int64)
        measures = {row.name: row.measure(split, name) for row in (baseline, *ideas)}
        found: dict[str, list[Floats]] = {row: [] for row in measures}
        for weights, _ in question_draws(groups, draws, seed):
            for row_name, measure in measures.items():
                found[row_name].append(measure(weights))
        of_baseline = np.concatenate(found[baseline.name])
        for idea in whole:
            whole[idea].append(float((measures[idea](ones) - measures[baseline.name](ones)).mean()))
            drawn[idea].append(((np.concatenate(found[idea]) - of_baseline) * shares).sum(axis=1))
    return [_verdict(idea, whole[idea], np.stack(drawn[idea], axis=1)) for idea in whole]


def _verdict(row: str, differences: Sequence[float], drawn: Floats) -> Verdict:
    """Verdict from the differences and their draws, (draws, measures); a draw without some measure does not count."""
    drawn = drawn[~np.isnan(drawn).any(axis=1)]
    errors = drawn.std(axis=0)
    if (errors < _EQUAL).any() and np.abs(np.asarray(differences)[errors < _EQUAL]).max() > _EQUAL:
        raise TmkdError(f"{row}: a measure differs by the same in every draw, so it has no standard error")
    scale = np.where(errors < _EQUAL, np.inf, errors)  # a measure that is the same in both rows has d / s = 0
    mean = float(np.mean(differences / scale))
    return Verdict(row, tuple(differences), tuple(errors.tolist()), mean, float((drawn / scale).mean(axis=1).std()))


def _check(baseline: RowPredictions, row: RowPredictions) -> None:
    for split in dict.fromkeys(split for split, _ in MEASURES):
        if split not in row.sets:
            raise TmkdError(f"{row.name}: not tested on {split}; run recipes/ideas.yaml")
        if row.sets[split][1] != baseline.sets[split][1]:
            raise TmkdError(f"{row.name}: its {split} has other pairs than that of {baseline.name}")
    if len(baseline.seeds) < 2 or row.seeds.keys() != baseline.seeds.keys():
        raise TmkdError(f"{row.name}: give it and {baseline.name} the same seeds, two or more")


def read_rows(folder: Path) -> dict[str, RowPredictions]:
    """Read the students' rows from the fragments of a run.

    Raises: TmkdError when there are none, one is damaged, or two tasks have a row of the same name.
    """
    found: dict[str, RowPredictions] = {}
    tasks: dict[str, str] = {}
    for path in sorted((folder / ROWS).glob(f"*{FRAGMENT}")):
        fragment, tested = read_row(path)
        first = fragment.first
        if first.kind != "student":
            continue
        if tasks.setdefault(first.row, first.task) != first.task:
            raise TmkdError(f"{path}: {first.row} is a row of {tasks[first.row]} too; give one of them another name")
        sets = {split: (test, fragment.tests[split]) for split, (test, _) in tested.items()}
        row = found.setdefault(first.row, RowPredictions(first.row, sets, {}))
        row.seeds[first.teachers_seed, first.seed] = {split: values for split, (_, values) in tested.items()}
    if not found:
        raise TmkdError(f"{folder}: no fragments of students here; name a folder such as results/ideas")
    return found


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts in Markdown: each difference ± its standard error, better is positive."""
    titles = [" ".join(measure) for measure in MEASURES]
    lines = [["idea", *titles, "mean of d / s", "verdict"], ["---"] * (len(MEASURES) + 3)]
    for one in verdicts:
        values = zip(one.differences, one.errors, strict=True)
        cells = [f"{value:+.4f} ± {error:.4f}" for value, error in values]
        lines.append([one.idea, *cells, f"{one.mean:+.2f} ± {one.error:.2f}", one.words])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the verdicts on the rows of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of the run's fragments")
    parser.add_argument("--baseline", default="tmkd", help="row that the others are compared with")
    chosen = parser.parse_args(arguments)
    try:
        print(table(judged(read_rows(chosen.results), chosen.baseline)))
    except TmkdError as error:
        sys.exit(str(error))


def judged(rows: Mapping[str, RowPredictions], baseline: str) -> list[Verdict]:
    """Verdicts on all rows but the baseline.  Raises: TmkdError as `judge`, or when the baseline is not among them."""
    if baseline not in rows:
        raise TmkdError(f"no row '{baseline}'; there is {', '.join(rows)}")
    return judge(rows[baseline], [row for name, row in rows.items() if name != baseline])


if __name__ == "__main__":
    main()
