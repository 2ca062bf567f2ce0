"""The judge of ideas: its rule on numbers worked by hand, and the recipe that it reads the rows of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.ideas import MEASURES, RowPredictions, Verdict, judge, judged, main, read_rows, table

from row_fragments import row_fragment
from tmkd.errors import TmkdError
from tmkd.evaluate.measures import LabelledSet, Probabilities
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.rows import StageSpec
from tmkd.recipe.schema import Recipe
from tmkd.report.row_fragment import write_row

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "ideas.yaml"
QUESTIONS, EACH = 40, 5
GROUPS = tuple(f"q{number // EACH}" for number in range(QUESTIONS * EACH))
LABELS = np.tile([1, 0, 0, 0, 0], QUESTIONS)
SPLITS = ("webqa_dev", "wikiqa_dev", "dl19")


def labelled(split: str) -> LabelledSet:
    return LabelledSet("webqa", split, ("no", "yes"), 1, LABELS, GROUPS, LABELS * 2.0)


def row(name: str, gains: dict[str, float] | float = 0.0, seeds: tuple[int, ...] = (1, 2)) -> RowPredictions:
    """A row whose log-odds are the truth plus noise; `gains` are how much more truth they have, by split."""
    found: dict[tuple[int, int], dict[str, Probabilities]] = {}
    for seed in seeds:
        rng = np.random.default_rng(seed)  # the same noise in all rows: they differ in their gain
        noise = {split: rng.normal(size=len(LABELS)) for split in SPLITS}
        own = np.random.default_rng(len(name) + 100 * seed)
        found[1, seed] = {}
        for split in SPLITS:
            gain = gains if isinstance(gains, float) else gains.get(split, 0.0)
            odds = (1.0 + gain) * (2 * LABELS - 1) + noise[split] + 0.1 * own.normal(size=len(LABELS))
            yes = 1 / (1 + np.exp(-odds))
            found[1, seed][split] = np.stack([1 - yes, yes], axis=1)
    return RowPredictions(name, {split: (labelled(split), "digest") for split in SPLITS}, found)


def test_an_idea_is_kept_where_it_is_better_and_left_out_where_it_is_worse_or_nothing() -> None:
    ideas = [row("better", 0.5), row("worse!", -0.5), row("nothing", 0.0)]
    better, worse, nothing = judge(row("tmkd"), ideas, draws=500)
    assert (better.words, better.kept) == ("kept", True)
    assert (worse.words, worse.kept) == ("left out: worse", False)
    assert len(worse.worse) == len(MEASURES)
    assert not nothing.kept


def test_an_idea_that_is_much_better_on_most_is_left_out_if_worse_on_one() -> None:
    (found,) = judge(row("tmkd"), [row("mixed", {"webqa_dev": 1.0, "wikiqa_dev": 1.0, "dl19": -0.6})], draws=500)
    assert found.mean > 2 * found.error
    assert found.worse == ["dl19 ndcg_10_graded"]
    assert found.words == "left out: worse on dl19 ndcg_10_graded"


def verdict(differences: tuple[float, ...], mean: float, error: float) -> Verdict:
    return Verdict("idea", differences, (1.0,) * 5, mean, error)


@pytest.mark.parametrize(
    ("differences", "mean", "error", "words"),
    [
        ((3.0, 3.0, 3.0, 3.0, -1.0), 2.2, 1.0, "kept"),
        ((3.0, 3.0, 3.0, 3.0, -1.1), 2.18, 1.0, "left out: worse on dl19 ndcg_10_graded"),
        ((2.0, 2.0, 2.0, 2.0, 2.0), 2.0, 1.0, "left out: undecided"),
        ((1.5, 1.5, 1.5, 1.5, 1.5), 1.5, 0.7, "kept"),
        ((-2.0, -2.0, -2.0, -2.0, -2.5), -2.1, 1.0, "left out: worse"),
    ],
)
def test_the_rule(differences: tuple[float, ...], mean: float, error: float, words: str) -> None:
    assert verdict(differences, mean, error).words == words


def constant(name: str, odds: dict[int, float]) -> RowPredictions:
    """A row that gives every pair of a seed the same gain over a ranking that is always right."""
    base = row(name, 9.0, tuple(odds))
    for (_, seed), splits in base.seeds.items():
        for split in splits:
            yes = 1 / (1 + np.exp(-odds[seed] * (2 * LABELS - 1)))
            splits[split] = np.stack([1 - yes, yes], axis=1)
    return base


def test_the_standard_error_is_that_of_a_mean_over_two_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair has the same cross-entropy, so draws of questions change nothing: what varies are the seeds."""
    monkeypatch.setattr("benchmarks.ideas.MEASURES", (("webqa_dev", "cross_entropy"),))
    cost = {odds: float(np.log1p(np.exp(-odds))) for odds in (1.0, 2.0, 3.0)}
    (found,) = judge(constant("tmkd", {1: 1.0, 2: 1.0}), [constant("idea", {1: 2.0, 2: 3.0})], draws=10_000)
    gains = [cost[1.0] - cost[2.0], cost[1.0] - cost[3.0]]
    assert found.differences[0] == pytest.approx(np.mean(gains))
    assert found.errors[0] == pytest.approx(np.std(gains, ddof=1) / np.sqrt(2), rel=0.02)
    # One measure: its standardised difference is the mean, whose own error is 1.
    assert found.mean == pytest.approx(found.differences[0] / found.errors[0])
    assert found.error == pytest.approx(1.0)


def test_the_error_of_the_mean_knows_that_measures_of_one_set_move_together() -> None:
    (found,) = judge(row("tmkd"), [row("better", 0.5)], draws=500)
    assert found.mean == pytest.approx(np.mean(np.divide(found.differences, found.errors)))
    assert 5**-0.5 < found.error < 1  # between five independent measures and one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: replace(one, seeds={(1, 1): one.seeds[1, 1]}), "idea: give it and tmkd the same seeds"),
        (lambda one: replace(one, sets={"dl19": one.sets["dl19"]}), "idea: not tested on webqa_dev"),
        (
            lambda one: replace(one, sets={**one.sets, "dl19": (one.sets["dl19"][0], "other")}),
            "idea: its dl19 has other pairs than that of tmkd",
        ),
        (lambda one: constant("idea", {1: 2.0, 2: 2.0}), "idea: a measure differs by the same in every draw"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(
    change: Callable[[RowPredictions], RowPredictions], message: str
) -> None:
    with pytest.raises(TmkdError, match=message):
        judge(constant("tmkd", {1: 1.0, 2: 1.0}), [change(row("idea"))], draws=20)


def test_the_same_row_is_undecided() -> None:
    (found,) = judge(row("tmkd"), [replace(row("tmkd"), name="idea")], draws=20)
    assert (found.mean, found.error, found.words) == (0, 0, "left out: undecided")


def test_a_measure_that_is_the_same_in_both_rows_has_no_part_in_the_sum() -> None:
    (found,) = judge(constant("tmkd", {1: 1.0, 2: 1.0}), [constant("idea", {1: 2.0, 2: 3.0})], draws=500)
    costs = [place for place, (_, name) in enumerate(MEASURES) if name == "cross_entropy"]
    assert [found.differences[place] > 0 for place in range(5)] == [place in costs for place in range(5)]
    assert found.mean == pytest.approx(sum(found.differences[one] / found.errors[one] for one in costs) / 5)


def test_one_seed_is_too_few() -> None:
    with pytest.raises(TmkdError, match="the same seeds, two or more"):
        judge(row("tmkd", seeds=(1,)), [row("idea", seeds=(1,))], draws=20)


def write(folder: Path, of: RowPredictions, task: str = "webqa", kind: Any = "student") -> None:
    """Leave the fragments of a row, as a run does."""
    for (teachers, seed), splits in of.seeds.items():
        made = row_fragment(of.name, seed)
        results = tuple(
            replace(made.first, task=task, kind=kind, split=split, teachers_seed=teachers) for split in SPLITS
        )
        tests = {split: digest for split, (_, digest) in of.sets.items()}
        sets = {split: (of.sets[split][0], splits[split]) for split in SPLITS}
        write_row(folder, replace(made, results=results, tests=tests), sets)


def test_the_rows_of_a_run_are_read_from_its_fragments_and_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, row("tmkd"))
    write(tmp_path, row("better", 0.5), task="webqa_prior")
    write(tmp_path, row("t1", -0.5), kind="teacher")
    rows = read_rows(tmp_path)
    assert sorted(rows) == ["better", "tmkd"]
    assert sorted(rows["tmkd"].seeds) == [(1, 1), (1, 2)]
    main([str(tmp_path)])
    said = capsys.readouterr().out
    assert "| better | +" in said
    assert "| kept |" in said
    assert said == table(judged(rows, "tmkd")) + "\n"


def test_fragments_without_a_baseline_or_of_two_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no fragments of students here"):
        read_rows(tmp_path)
    write(tmp_path, row("idea"))
    with pytest.raises(TmkdError, match="no row 'tmkd'; there is idea"):
        judged(read_rows(tmp_path), "tmkd")
    write(tmp_path, row("idea"), task="other")
    with pytest.raises(TmkdError, match="idea is a row of other too"):
        read_rows(tmp_path)
    with pytest.raises(SystemExit, match="idea is a row of other too"):
        main([str(tmp_path)])


# -- the recipe ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(RECIPE)


def test_six_ideas_stand_beside_plain_tmkd(recipe: Recipe) -> None:
    assert len(recipe.rows) == 7
    assert not any(stage.own_options for stage in recipe.rows["tmkd"].stages)
    assert len(recipe.seeds.students) == 2


def test_every_idea_is_tested_on_the_sets_that_it_is_judged_on(recipe: Recipe) -> None:
    for task in recipe.tasks.values():
        assert {split for split, _ in MEASURES} == {*task.tests}
        assert task.tests == recipe.tasks["webqa"].tests


def test_no_model_of_an_idea_trains_on_a_set_that_it_is_judged_on(recipe: Recipe) -> None:
    judged_on = {source.file for task in recipe.tasks.values() for one in task.tests.values() for source in one}
    trained_on = {source.file for task in recipe.tasks.values() for source in task.train}
    trained_on |= {source.file for corpus in recipe.collect.values() for source in corpus.pairs}
    assert not judged_on & trained_on


def test_each_idea_differs_from_plain_tmkd_in_its_own_options_alone(recipe: Recipe) -> None:
    plain = recipe.rows["tmkd"].stages
    changed = {}
    for name, one in recipe.rows.items():
        fields = [
            {key for key in StageSpec.model_fields if getattr(first, key) != getattr(own, key)}
            for first, own in zip(plain, one.stages, strict=True)
        ]
        changed[name] = fields
    assert changed == {
        "tmkd": [set(), set()],
        "tmkd-cosine": [{"teachers"}, {"teachers"}],
        "tmkd-average": [{"fit"}, set()],
        "tmkd-soft": [set(), {"weak"}],
        "tmkd-prior": [{"corpus", "teachers"}, {"teachers"}],
        "tmkd-chosen": [{"corpus", "choose"}, set()],
        "tmkd-vote": [{"vote"}, set()],
    }


@pytest.mark.data
@pytest.mark.slow
def test_the_recipe_is_in_order_on_the_real_data(tmp_path: Path, tmkd: Any, recipe: Recipe) -> None:
    base = (RECIPE.parent / recipe.data).resolve()
    if not (base / "webqa" / "train.parquet").is_file():
        pytest.skip(f"no data in {base.name}/ beside the project")
    said = tmkd("check", RECIPE, "--runs", tmp_path)
    assert said.code == 0, said.err
    assert "the recipe and its files are in order" in said.out
