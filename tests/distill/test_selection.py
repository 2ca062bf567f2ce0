"""Rows chosen by name: with their seeds, their teachers and their corpora, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

import tiny
from tmkd.distill.selection import PlacedRow, exported, placed_rows, select
from tmkd.errors import UsageError
from tmkd.recipe.schema import Recipe


def recipe(**changes: Any) -> Recipe:
    """The tiny world's recipe with a second task and a corpus for each of two rows."""
    values = tiny.recipe()
    stages = values.pop("stages")
    values["tasks"]["other"] = {"train": "train.tsv", "tests": {"test": "test.tsv"}}
    values["collect"]["more"] = values["collect"]["web"]
    values["teachers"]["o1"] = {**values["teachers"]["t1"], "task": "other"}
    values["rows"] = {
        "bert-3": {"stages": [{**stages["finetune"], "teachers": [], "alpha": 0.0}]},
        "mkd": {"stages": [stages["finetune"]]},
        "named": {"tasks": ["toy"], "stages": [{**stages["finetune"], "teachers": ["t2"]}]},
        "tmkd": {"stages": [{**stages["pretrain"], "corpus": "more"}, stages["finetune"]], "tasks": ["toy"]},
    }
    return Recipe.model_validate({**values, **changes})


def test_rows_stand_on_their_tasks_with_their_seeds() -> None:
    values = recipe(seeds=[1, 2, 3])
    tasks = {**values.tasks, "other": values.tasks["other"].model_copy(update={"seeds": (3, 1)})}
    rows = {**values.rows, "mkd": values.rows["mkd"].model_copy(update={"seeds": (2, 3, 7)})}
    placed = [*placed_rows(values.model_copy(update={"tasks": tasks, "rows": rows}), 4)]
    assert [one.seed for one in placed if one[:2] == ("bert-3", "toy")] == [1, 2, 3]
    assert [one.seed for one in placed if one[:2] == ("bert-3", "other")] == [1, 3]
    assert [one.seed for one in placed if one[:2] == ("mkd", "other")] == [3]
    assert {one.teachers_seed for one in placed} == {4}


@pytest.mark.parametrize(
    ("rows", "tasks", "placed", "teachers", "collected"),
    [
        (["bert-3"], [], {("bert-3", "toy"), ("bert-3", "other")}, set(), set()),
        (["mkd"], ["other"], {("mkd", "other")}, {"o1"}, set()),
        (["named"], [], {("named", "toy")}, {"t2"}, set()),
        (["tmkd"], [], {("tmkd", "toy")}, {"t1", "t2"}, {"more"}),
        ([], ["other"], {("bert-3", "other"), ("mkd", "other")}, {"o1"}, set()),
    ],
)
def test_a_row_brings_its_teachers_and_its_corpora(
    rows: list[str], tasks: list[str], placed: set[tuple[str, str]], teachers: set[str], collected: set[str]
) -> None:
    found = select(recipe(), rows, tasks)
    assert {(one.row, one.task) for one in found.rows} == placed
    assert found.teachers == teachers
    assert found.collected == collected


@pytest.mark.parametrize(
    ("rows", "tasks", "told"),
    [
        (["tkmd"], [], "--rows: the recipe has no 'tkmd'; did you mean 'tmkd'"),
        ([], ["toys"], "--tasks: the recipe has no 'toys'; did you mean 'toy'"),
        (["tmkd"], ["other"], "no row of tmkd is trained on other"),
    ],
)
def test_a_name_that_is_not_there_is_refused(rows: list[str], tasks: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        select(recipe(), rows, tasks)


def test_the_export_stays_only_with_the_exported_student() -> None:
    values = recipe(export={"row": "mkd", "frontier": ["mkd", "tmkd"]}, seeds=[2, 1])
    kept = exported(values, select(values, ["mkd"], ["toy"])).export
    assert kept is not None
    assert (kept.row, kept.frontier) == ("mkd", ("mkd",))
    assert exported(values, select(values, ["mkd"], ["other"])).export is None
    other_seed = select(values, ["mkd"], ["toy"])
    first = frozenset(one for one in other_seed.rows if one != PlacedRow("mkd", "toy", 2, 1))
    assert exported(values, type(other_seed)(first, frozenset(), frozenset())).export is None
