"""Part of a recipe that a command works on: some of its rows with some seeds, and the teachers that these need."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tmkd.distill.rows import declared, taught_by_default
from tmkd.errors import UsageError, did_you_mean
from tmkd.recipe.schema import Recipe


class PlacedRow(NamedTuple):
    """Row of the recipe on one task, with a students' and a teachers' seed."""

    row: str
    task: str
    seed: int
    teachers_seed: int


@dataclass(frozen=True)
class Selection:
    """Rows that are made, and the teachers and stage-1 corpora that they need, by their names in the recipe.

    `finished` tells that further rows are wanted, which are made already elsewhere.
    """

    rows: frozenset[PlacedRow]
    teachers: frozenset[str]
    collected: frozenset[str]
    finished: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to be made."""
        return not self.rows and not self.teachers


def placed_rows(recipe: Recipe, teachers_seed: int) -> Iterator[PlacedRow]:
    """Every row of a recipe on each of its tasks with each of its students' seeds."""
    for name, row in recipe.rows.items():
        for task in row.tasks or tuple(recipe.tasks):
            own = [seeds for seeds in (row.seeds, recipe.tasks[task].seeds) if seeds is not None]
            for seed in recipe.seeds.students:
                if all(seed in seeds for seeds in own):
                    yield PlacedRow(name, task, seed, teachers_seed)


def select(recipe: Recipe, rows: Collection[str], tasks: Collection[str]) -> Selection:
    """Select rows by name, and on tasks by name; an empty collection stands for all.

    Raises: UsageError for a name that the recipe has not, or when no row is left.
    """
    _check_names("--rows", rows, recipe.rows)
    _check_names("--tasks", tasks, recipe.tasks)
    found = [
        one
        for seed in recipe.seeds.teachers
        for one in placed_rows(recipe, seed)
        if (not rows or one.row in rows) and (not tasks or one.task in tasks)
    ]
    if not found:
        raise UsageError(f"no row of {', '.join(rows) or 'the recipe'} is trained on {', '.join(tasks)}; name others")
    return selection_of(recipe, found)


def selection_of(
    recipe: Recipe, rows: Iterable[PlacedRow], beside: Iterable[str] = (), *, finished: bool = False
) -> Selection:
    """Select these rows with all that they need, and the teachers `beside` them."""
    chosen = frozenset(rows)
    teachers, collected = {*beside}, set[str]()
    for row, task in {(one.row, one.task) for one in chosen}:
        for stage in recipe.rows[row].stages:
            corpus = f"{task}/train" if stage.corpus == "task" else stage.corpus
            collected |= {corpus} & recipe.collect.keys()
            named: tuple[str, ...] | Literal["all", "best", "each"] = stage.teachers
            if stage.alpha > 0:
                teachers |= {
                    *(taught_by_default(recipe, declared(recipe, corpus)) if isinstance(named, str) else named)
                }
    return Selection(chosen, frozenset(teachers), frozenset(collected), finished)


def exported(recipe: Recipe, selection: Selection) -> Recipe:
    """The recipe without its export where the exported student is not selected, and then without what it serves."""
    export, first = recipe.export, recipe.seeds.students[0]
    tasks = {name: (row.tasks or tuple(recipe.tasks))[0] for name, row in recipe.rows.items()}
    made = {one.row for one in selection.rows if one.seed == first and one.task == tasks[one.row]}
    left = export.of_rows(made) if export is not None else None
    return recipe.model_copy(update={"export": left, "serve": recipe.serve if left is not None else None})


def _check_names(option: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"{option}: the recipe has no '{name}'; {did_you_mean(name, known)}")
