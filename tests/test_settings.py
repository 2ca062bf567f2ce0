"""The search for settings on dev, whole, at tiny size."""

from __future__ import annotations

from argparse import Namespace
from functools import partial

import pytest
import yaml
from benchmarks import settings
from benchmarks.settings_rule import Setting, Tried, chosen

import tiny
from finished_steps import steps_made
from tiny import Call, World
from tmkd.errors import UsageError
from tmkd.recipe.reader import read_recipe


def test_a_setting_changes_the_last_stage_of_its_row_alone(world: World) -> None:
    recipe = read_recipe(world.recipe, ["seeds={students: [3, 4], teachers: [2, 1]}"])
    changed = settings.with_setting(recipe, "tmkd", {"learning_rate": 5e-5}, 16)
    assert list(changed.rows) == ["tmkd"]
    assert changed.rows["tmkd"].stages[0] == recipe.rows["tmkd"].stages[0]
    fit = changed.rows["tmkd"].stages[1].fit
    assert (fit.learning_rate, fit.epochs, fit.keep) == (5e-5, 16, "cross_entropy")
    assert fit.batch == recipe.rows["tmkd"].stages[1].fit.batch
    assert (changed.seeds.students, changed.seeds.teachers) == ((3,), (2,))


def test_rows_are_those_that_dev_can_choose(world: World) -> None:
    tiny.change(world.recipe, "rows.first", {"stages": ["pretrain"]})
    recipe = read_recipe(world.recipe)
    assert settings.searched_rows(recipe, []) == list(tiny.ROWS)
    assert settings.searched_rows(recipe, ["mkd", "first"]) == ["mkd"]
    with pytest.raises(UsageError, match="no row 'tmdk'; did you mean 'tmkd'"):
        settings.searched_rows(recipe, ["tmdk"])


def test_a_task_of_its_own_settings_is_searched_for_itself(world: World) -> None:
    few = {"batch": 2, "learning_rate": 3e-3}
    tiny.change(world.recipe, "rows.tmkd.stages", ["pretrain", {"use": "finetune", "fit_on": {"toy": few}}])
    recipe = read_recipe(world.recipe)
    rows = settings.with_setting(recipe, "tmkd", {"learning_rate": 5e-5}, 16, settings.Ways("toy")).rows
    last = rows["tmkd"].stages[-1]
    assert (last.fit.learning_rate, last.fit.epochs, last.fit.batch, last.fit_on) == (5e-5, 16, 2, {})
    assert settings.searched_rows(recipe, ["tmkd"], "toy") == ["tmkd"]
    with pytest.raises(UsageError, match="--task: row 'tmkd' has settings for single tasks"):
        settings.searched_rows(recipe, ["tmkd"])
    with pytest.raises(UsageError, match="--task: no task 'tyo'; did you mean 'toy'"):
        settings.searched_rows(recipe, [], "tyo")
    far = recipe.model_copy(update={"rows": {"mkd": recipe.rows["mkd"].model_copy(update={"tasks": ("far",)})}})
    assert settings.searched_rows(far, [], "toy") == []
    with pytest.raises(UsageError, match="row 'mkd' is not trained on 'toy', but on far"):
        settings.searched_rows(far, ["mkd"], "toy")
    elsewhere = recipe.rows["tmkd"].model_copy(update={"tasks": ("far",)})  # its fit_on is of a task that it has not
    assert settings.searched_rows(recipe.model_copy(update={"rows": {"tmkd": elsewhere}}), ["tmkd"]) == ["tmkd"]


@pytest.mark.parametrize("everything", [False, True])
def test_extras_take_part_only_with_all(world: World, everything: bool) -> None:
    for extra in ("rows.mkd", "teachers.t2"):
        tiny.change(world.recipe, f"{extra}.extra", True)
    given = Namespace(recipe=world.recipe, changes=[], runs=world.runs, all=everything)
    recipe, base, folder = settings.opened(given)
    assert (base, folder) == (world.recipe.parent, world.run)
    assert ("mkd" in recipe.rows) == ("t2" in recipe.teachers) == everything


def test_the_table_has_every_fit_and_marks_the_chosen() -> None:
    rate = {"learning_rate": 5e-5}
    tried = [Tried(rate, 4, 4, 0.61), Tried(rate, 8, 5, 0.52)]
    assert settings.table({"bert-3": tried}).splitlines()[2:] == [
        "| bert-3 | 5.0e-05 | 4 | 4 | 0.6100 |",
        "| **bert-3** | **5.0e-05** | **8** | **5** | **0.5200** |",
    ]
    assert settings.fit_line(chosen(tried)) == "fit: {learning_rate: 5.0e-05, epochs: 8, keep: cross_entropy}"


def test_a_search_by_accuracy_keeps_its_epochs_and_counts_what_is_wrong(finished: World) -> None:
    recipe, ways = read_recipe(finished.recipe), settings.Ways(by="accuracy")
    wrong = settings.trained(recipe, finished.recipe.parent, finished.run, "mkd", {"learning_rate": 1e-2}, 2, ways)
    fit = settings.with_setting(recipe, "mkd", {"learning_rate": 1e-2}, 2, ways).rows["mkd"].stages[-1].fit
    assert (fit.keep, len(wrong)) == ("accuracy", 2)
    pairs = tiny.opened(finished).corpus("toy/dev").table().num_rows
    assert all(0 <= share <= 1 and abs(share * pairs - round(share * pairs)) < 1e-6 for share in wrong)
    assert settings.fit_line(Tried({"learning_rate": 1e-2}, 2, 1, 0.25), ways).endswith("keep: accuracy}")
    assert "| wrong on dev |" in settings.table({}, ways)


def test_a_control_is_tried_with_each_rate_alone(world: World) -> None:
    stage = {"use": "finetune", "teachers": [], "alpha": 0.0, "steps_of": "tmkd"}
    tiny.change(world.recipe, "rows.long", {"stages": [stage]})
    asked: list[tuple[float, int]] = []

    def fit(setting: Setting, epochs: int) -> list[float]:
        asked.append((setting["learning_rate"], epochs))
        return [0.5, 0.4, 0.3]

    found = settings.search(read_recipe(world.recipe), "long", fit, (1e-4, 2e-4))
    assert asked == [(1e-4, 5), (2e-4, 5)]
    assert [one.best_epoch for one in found] == [3, 3]


def test_the_line_for_a_task_makes_the_student_that_was_searched_and_leaves_other_tasks(world: World) -> None:
    tiny.change(world.recipe, "tasks.far", yaml.safe_load(world.recipe.read_text())["tasks"]["toy"])
    tiny.change(world.recipe, "stages.finetune.fit_on", {"toy": {"batch": 2}, "far": {"batch": 4}})
    recipe, ways = read_recipe(world.recipe), settings.Ways("toy")
    one = Tried({"learning_rate": 1.25e-4}, 8, 5, 0.52)
    searched = settings.with_setting(recipe, "tmkd", one.setting, one.epochs, ways).rows["tmkd"].stages[-1]
    line = yaml.safe_load(f"{{{settings.fit_line(one, ways)}}}")
    tiny.change(world.recipe, "rows.tmkd.stages", [{"use": "pretrain"}, {"use": "finetune", **line}])
    chosen_now = read_recipe(world.recipe).rows["tmkd"].stages[-1]
    assert chosen_now.on("toy").fit == searched.fit
    assert chosen_now.on("far") == recipe.rows["tmkd"].stages[-1].on("far")


def test_what_the_search_trained_is_done_when_its_line_stands_in_the_recipe(finished: World, tmkd: Call) -> None:
    recipe = read_recipe(finished.recipe)
    fit = partial(settings.trained, recipe, finished.recipe.parent, finished.run, "tmkd")
    before = {path.name for path in (finished.run / "students").iterdir()}
    found = settings.search(recipe, "tmkd", fit, (1e-2, 1e-3), (1, 2))
    assert {(one.setting["learning_rate"], one.epochs) for one in found} >= {(1e-2, 1), (1e-3, 1)}
    assert all(0 < one.cost < 2 for one in found)
    made = {path.name for path in (finished.run / "students").iterdir()} - before
    assert len(made) == len(found)  # a student for each fit, and no other first stage
    assert fit({"learning_rate": 1e-2}, 1)[0] == found[0].cost
    key, _, line = settings.fit_line(chosen(found)).partition(": ")
    values = {**yaml.safe_load(line)}
    tiny.change(finished.recipe, "rows.tmkd.stages", ["pretrain", {"use": "finetune", key: values}])
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert steps_made(said) == ["evaluate/toy/tmkd", "evaluate/report"]
