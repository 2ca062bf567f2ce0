"""The paper's experiments at a small size: rows of the paper's recipe, nested corpora, held-out sets, seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tmkd.distill.selection import placed_rows
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.rows import RowSpec, is_papers
from tmkd.recipe.schema import Recipe

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(ROOT / "recipes" / "paper-small.yaml")


@pytest.fixture(scope="module")
def papers() -> Recipe:
    return read_recipe(ROOT / "recipes" / "paper.yaml")


def shape(row: RowSpec) -> list[tuple[Any, ...]]:
    """What makes a row the paper's, whatever its sizes: of each stage its teachers, its α, whether it is stage 1."""
    stages = [(one.teachers, one.average, one.alpha, one.corpus == "task", one.own_options) for one in row.stages]
    return [*stages, (row.each_teacher, row.student.layers)]


def test_a_row_with_a_name_of_the_papers_recipe_is_the_papers(recipe: Recipe, papers: Recipe) -> None:
    shared = recipe.rows.keys() & papers.rows.keys()
    assert {"bert-3", "1-o-1", "1avg-o-1", "mkd", "tkd-base", "tkd-base-avg", "tmkd-base", "alpha-10"} <= shared
    for name in shared:
        assert shape(recipe.rows[name]) == shape(papers.rows[name]), name


def test_all_other_rows_have_names_of_their_own(recipe: Recipe, papers: Recipe) -> None:
    own = recipe.rows.keys() - papers.rows.keys()
    assert {"bert-3-long", "1-o-1-long", "tmkd-100k", "tmkd-800k"} <= own
    assert {"tmkd-paraphrase", "tmkd-cosine", "tmkd-minilm", "tmkd-mpnet"} <= own
    assert not [name for name in own if is_papers(name)]
    assert all(recipe.rows[name].extra for name in own)


def test_each_method_of_the_papers_recipe_is_known_as_the_papers(papers: Recipe) -> None:
    assert not [name for name in papers.rows if not is_papers(name)]


def test_the_corpora_are_parts_of_one_order(recipe: Recipe) -> None:
    limits = {name: one.limit for name, one in recipe.collect.items() if name in ("small", "base", "large")}
    assert limits == {"small": 100_000, "base": 200_000, "large": 800_000}
    alike = [recipe.collect[name].model_copy(update={"limit": None, "extra": False}) for name in limits]
    assert alike[0] == alike[1] == alike[2]
    assert (alike[0].shuffle, alike[0].top) == (True, 10)
    mpnet = recipe.teachers["webqa-mpnet"]
    assert (mpnet.named, mpnet.extra, mpnet.scores) == (True, True, ("base",))  # one row's teacher


def test_nothing_is_trained_on_the_sets_that_are_held_out(recipe: Recipe) -> None:
    trained = [source.file for task in recipe.tasks.values() for source in (*task.train, *task.dev)]
    trained += [source.file for one in recipe.collect.values() for source in (*one.pairs, *one.passages)]
    assert not [name for name in trained if name.startswith(("trec_dl", "wikiqa"))]
    tests = recipe.tasks["webqa"].tests
    assert next(iter(tests)) == "test"  # accuracy is the first's
    assert {source.file for source in tests["dl19"]} == {"trec_dl/dl19.parquet"}
    assert [*tests][-1] == "dl20"  # ranking measures are the last's


def test_students_have_the_seeds_of_their_line(recipe: Recipe) -> None:
    seeds: dict[tuple[str, str], list[int]] = {}
    for row, task, seed, _ in placed_rows(recipe, 1):
        seeds.setdefault((row, task), []).append(seed)
    papers = ("bert-3", "1-o-1", "1avg-o-1", "mkd", "tkd-base", "tmkd-base")
    assert {seeds[row, task] == [1, 2, 3] for row in papers for task in ("webqa", "rte")} == {True}
    assert {seeds[row, task] == [1] for row in papers for task in ("qnli", "snli", "mnli")} == {True}
    assert seeds["tkd-base-avg", "webqa"] == seeds["tmkd-minilm", "webqa"] == [1, 2, 3]
    for row in ("bert-3-long", "1-o-1-long", "alpha-01", "tmkd-base-1", "tmkd-800k", "bi-lstm-tmkd-base"):
        assert {place: of for place, of in seeds.items() if place[0] == row} == {(row, "webqa"): [1]}


def test_mnli_has_its_two_tests_and_three_classes(recipe: Recipe) -> None:
    mnli = recipe.tasks["mnli"]
    assert ([*mnli.tests], len(mnli.labels)) == (["matched", "mismatched"], 3)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data (../shared/data) is not beside this checkout")
def test_its_files_are_in_order(tmp_path: Path) -> None:
    from tmkd.flow.check_files import read_files
    from tmkd.flow.run_folder import RunFolder

    changes = [f"data={DATA}"]
    whole = read_recipe(ROOT / "recipes" / "paper-small.yaml", changes)
    run = RunFolder(whole, ROOT / "recipes", tmp_path)
    sizes = read_files(run).sizes
    assert (sizes["small"], sizes["base"], sizes["large"]) == (100_000, 200_000, 800_000)
    assert {task: sizes[f"{task}/train"] // 100 for task in ("rte", "qnli", "snli", "mnli")} == {
        "rte": 22,
        "qnli": 29,
        "snli": 29,
        "mnli": 29,
    }
    assert (sizes["webqa/test"], sizes["webqa/dl19"]) == (2400, 4333)
    assert sizes["webqa/wikiqa-dev"] == 2732  # of 2,733 rows: one pair stands there twice
