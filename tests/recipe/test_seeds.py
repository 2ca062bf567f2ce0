"""Seeds of students and of teachers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

import tiny
from tmkd.recipe.schema import Recipe
from tmkd.recipe.seeds import SeedsSpec, seeded, unseeded, with_teachers_seed


def recipe(**changes: Any) -> Recipe:
    values = tiny.recipe()
    values.pop("stages")
    rows = {"named": {"stages": [{"teachers": ["t2", "judge"]}]}, "all": {"stages": [{}]}}
    return Recipe.model_validate({**values, "rows": rows, **changes})


def test_a_list_stands_for_the_students() -> None:
    assert recipe(seeds=[3, 1]).seeds == SeedsSpec(students=(3, 1), teachers=(1,))
    assert recipe().seeds == SeedsSpec(students=(1,), teachers=(1,))
    assert recipe(seeds={"teachers": [2, 3]}).seeds == SeedsSpec(students=(1,), teachers=(2, 3))


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([1, 2, 1], "students have the seed 1 twice; keep one"),
        ({"students": [1], "teachers": [2, 5, 5]}, "teachers have the seed 5 twice; keep one"),
        ({"teachers": [0]}, "greater than or equal to 1"),
        ({"students": []}, "at least 1 item"),
        ({"student": [1]}, "Extra inputs are not permitted"),
        (3, "give a list, such as .1, 2., or lists of students and teachers; this is 3"),
    ],
)
def test_seeds_that_are_refused(seeds: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(seeds=seeds)


def test_the_first_teachers_seed_leaves_the_recipe_as_it_is() -> None:
    assert with_teachers_seed(recipe(), 1) == recipe()


def test_another_teachers_seed_renames_and_seeds_the_fine_tuned_teachers() -> None:
    other = with_teachers_seed(recipe(seeds={"teachers": [1, 3]}), 3)
    assert {name: one.seed for name, one in other.teachers.items()} == {"t1@3": 2001, "t2@3": 2002, "judge": 1}
    assert other.rows["named"].stages[0].teachers == ("t2@3", "judge")
    assert other.rows["all"] == recipe().rows["all"]
    assert other.seeds.teachers == (3,)


def test_a_seed_stays_one_that_a_generator_takes() -> None:
    values = tiny.recipe()["teachers"]
    values["t1"]["seed"] = 2**32 - 1
    other = with_teachers_seed(recipe(teachers=values), 2)
    assert other.teachers["t1@2"].seed == 999


def test_a_name_goes_with_its_seed_and_comes_back() -> None:
    assert (seeded("t1", 1), seeded("t1", 12)) == ("t1", "t1@12")
    assert {unseeded("t1"), unseeded("t1@12")} == {"t1"}
