"""The paper's numbers agree with one another and with its text, and its rows with the recipes'."""

from __future__ import annotations

from pathlib import Path

import pytest

from tmkd.recipe.reader import read_recipe
from tmkd.recipe.rows import is_papers
from tmkd.report.paper_tables import (
    ALPHAS,
    FIGURE_2,
    OF_TWO_CORPORA,
    PUBLIC,
    SHAPES,
    TABLE_4,
    TABLE_5,
    TABLE_6,
    TABLE_7,
    TABLE_8,
    TABLE_9,
    TABLES,
    TKD,
    TMKD_BASE,
    TMKD_LARGE,
    Corpora,
    known_rows,
    row_name,
)

RECIPES = Path(__file__).parents[2] / "recipes"
CORPORA: tuple[Corpora, ...] = ("one", "base", "both")
ACCURACIES = {row.model.row or row.model.kind: row.accuracies for row in TABLE_4.rows}


def gains(row: int, other: int) -> list[float]:
    """Points between two rows of Table 9."""
    values = zip(TABLE_9.rows[row].accuracies, TABLE_9.rows[other].accuracies, strict=True)
    return [round(one - second, 2) for one, second in values]


@pytest.mark.parametrize("table", [TABLE_5, TABLE_6, TABLE_7, FIGURE_2], ids=lambda table: table.name)
def test_a_row_of_table_4_has_the_same_accuracies_in_every_table(table: object) -> None:
    assert table in TABLES
    shared = [row for row in TABLES[TABLES.index(table)].rows if row.model.row in ACCURACIES]  # type: ignore[arg-type]
    assert shared
    assert all(row.accuracies == ACCURACIES[row.model.row] for row in shared)


def test_gains_of_layers_are_those_of_the_text() -> None:
    assert gains(1, 0) == [3.87, 9.90, 7.46, 11.44, 11.19]  # §5.3
    assert gains(2, 1) == [1.08, 1.63, 0.53, 2.90, 0.37]  # §5.3 has 2.89 for QNLI


def test_on_the_largest_corpus_tmkd_exceeds_its_teacher() -> None:
    accuracies = [row.accuracies for row in TABLE_8.rows]
    assert (accuracies[0], accuracies[-1]) == ((77.00,), (79.22,))  # §5.2


def test_latency_is_the_inverse_of_pairs_per_second() -> None:
    assert [round(1e3 / shape.pairs_per_second, 1) for shape in SHAPES] == [shape.latency for shape in SHAPES]


def test_every_row_has_a_value_for_each_data_set_or_none() -> None:
    assert {len(row.accuracies) for table in TABLES for row in table.rows if table.sets == PUBLIC} == {0, 5}
    assert [row.model.name for table in TABLES for row in table.rows if not row.accuracies] == [
        f"α = {alpha}" for alpha in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    ]


def test_the_papers_rows_are_those_of_its_recipe() -> None:
    assert {*known_rows("both")} - {"", "ensemble"} == {*read_recipe(RECIPES / "paper.yaml").rows}


@pytest.mark.parametrize("recipe", ["demo", "webqa", "webqa_gpu"])
def test_with_one_corpus_only_controls_and_two_layers_are_beyond_the_paper(recipe: str) -> None:
    beyond = {*read_recipe(RECIPES / f"{recipe}.yaml").rows} - {*known_rows("one")}
    assert beyond <= {"bert-3-long", "1-o-1-long", "tmkd-2"}


def test_the_small_studys_own_rows_have_no_name_of_the_papers() -> None:
    own = {*read_recipe(RECIPES / "paper-small.yaml").rows} - {*known_rows("base")}
    assert own == {
        *("bert-3-long", "1-o-1-long", "tmkd-100k", "tmkd-800k"),
        *("tmkd-paraphrase", "tmkd-cosine", "tmkd-minilm", "tmkd-mpnet"),
    }


@pytest.mark.parametrize("corpora", ["one", "base", "both"])
def test_each_known_row_is_held_to_the_papers_method(corpora: Corpora) -> None:
    assert [name for name in known_rows(corpora) if not is_papers(name)] == [
        name for name in known_rows(corpora) if name in ("", "ensemble")
    ]


def test_rows_of_two_corpora_say_so() -> None:
    assert {
        *("tmkd-base", "tmkd-large", "tkd-base", "tkd-base-avg", "tmkd-base-1", "tmkd-base-5"),
        *("bi-lstm-tmkd-base", "bi-lstm-tkd-base", "bi-lstm-tkd-base-avg"),
    } == OF_TWO_CORPORA


def test_where_no_row_is_of_the_large_corpus_those_of_base_stand_for_it() -> None:
    assert [row_name(TKD, one) for one in CORPORA] == ["tkd", "tkd-base", "tkd"]
    assert [row_name(FIGURE_2.rows[-1].model, one) for one in CORPORA] == ["tmkd", "tmkd-base", "tmkd-large"]


def test_base_and_large_are_one_row_only_where_there_is_one_corpus() -> None:
    assert [row_name(TMKD_BASE, "one"), row_name(TMKD_BASE, "both")] == ["tmkd", "tmkd-base"]
    assert {row_name(TMKD_LARGE, one) for one in CORPORA} == {"tmkd-large"}
    assert [row_name(ALPHAS[0.9], "both"), row_name(ALPHAS[0.3], "both")] == ["tmkd-base", "alpha-03"]
