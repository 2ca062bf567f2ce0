"""Seeds of a run: of its students, and of the teachers that they learn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from tmkd.recipe.parts import Seed, Spec

if TYPE_CHECKING:
    from tmkd.recipe.rows import RowSpec
    from tmkd.recipe.schema import Recipe

OWN = 1  # teachers' seed with which each teacher has the seed of its entry
_APART = 1000  # between a teacher's seeds for two teachers' seeds: teachers of other entries have other seeds then, too
_SEEDS = 2**32

# Students' seeds of a task or a row; left out of settings while there are none.
OwnSeeds = Annotated[tuple[Seed, ...] | None, Field(min_length=1, exclude_if=lambda seeds: seeds is None)]


class SeedsSpec(Spec):
    """Seeds of a run. A list alone stands for `{students: LIST}`."""

    students: tuple[Seed, ...] = Field((1,), min_length=1)
    """Seeds of the students: each row is made once per seed."""
    teachers: tuple[Annotated[int, Field(ge=1, le=_SEEDS // _APART)], ...] = Field((OWN,), min_length=1)
    """Seeds of the fine-tuned teachers: all of them and all students are made once per seed. With seed k a teacher has
    its own `seed` + 1000 (k − 1)."""

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        """Let a list stand for the students' seeds."""
        if isinstance(value, list | tuple):
            return {"students": value}
        if not isinstance(value, Mapping | SeedsSpec):
            raise ValueError(f"give a list, such as [1, 2], or lists of students and teachers; this is {value!r}")
        return value

    @model_validator(mode="after")
    def _differ(self) -> Self:
        for whose, seeds in (("students", self.students), ("teachers", self.teachers)):
            twice = [seed for place, seed in enumerate(seeds) if seed in seeds[:place]]
            if twice:
                raise ValueError(f"{whose} have the seed {twice[0]} twice; keep one")
        return self


def seeded(name: str, seed: int) -> str:
    """Name of a teacher or a row as it is made with a teachers' seed: `NAME@SEED`, or the name alone for seed 1."""
    return name if seed == OWN else f"{name}@{seed}"


def unseeded(name: str) -> str:
    """Name that a teacher or a row has in the recipe."""
    return name.partition("@")[0]  # which no name of a recipe has


def with_teachers_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe whose fine-tuned teachers have the seeds, and the names, that they have with one teachers' seed."""
    changes: dict[str, Any] = {"seeds": recipe.seeds.model_copy(update={"teachers": (seed,)})}
    if seed != OWN:
        names = {name: seeded(name, seed) for name, one in recipe.teachers.items() if one.base is not None}
        own = {name: (recipe.teachers[name].seed + _APART * (seed - OWN)) % _SEEDS for name in names}
        changes["teachers"] = {
            names.get(name, name): one.model_copy(update={"seed": own[name]}) if name in names else one
            for name, one in recipe.teachers.items()
        }
        changes["rows"] = {name: _with_teachers(row, names) for name, row in recipe.rows.items()}
    return recipe.model_copy(update=changes)


def _with_teachers(row: RowSpec, names: Mapping[str, str]) -> RowSpec:
    """A row whose stages name their teachers anew."""
    stages = tuple(
        stage
        if isinstance(stage.teachers, str)
        else stage.model_copy(update={"teachers": tuple(names.get(name, name) for name in stage.teachers)})
        for stage in row.stages
    )
    return row.model_copy(update={"stages": stages})
