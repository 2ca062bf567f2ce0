"""Settings of each row's last stage, chosen on dev by one rule for all rows (settings_rule.py).

    python -m benchmarks.settings recipes/webqa.yaml --rows bert-3 tmkd

The run's teachers, their scores and the first stages are taken as they are: `tmkd score` comes first. Each fit that is
tried becomes a student of the run folder, so a stopped search goes on, and the chosen fits are made when the printed
lines stand in the recipe; `tmkd clean` removes the others. A row with `steps_of` is tried with each rate alone, after
the row that it names. A row whose last stage has a `fit_on` is searched for one task, `--task rte`. Test sets are not
read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from benchmarks.settings_rule import EPOCHS, Fit, Setting, Tried, chosen, tries

from tmkd.errors import TmkdError, UsageError, did_you_mean
from tmkd.flow.distill import distill_steps
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.runner import lock_run
from tmkd.process import tune_process
from tmkd.recipe.fit import Keep
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.schema import Recipe
from tmkd.recipe.seeds import SeedsSpec
from tmkd.store import sealed

RATES = (5e-5, 1e-4, 2e-4)
COSTS: dict[Keep, str] = {"cross_entropy": "cross-entropy", "accuracy": "wrong"}  # what keeps the epoch → its cost


@dataclass(frozen=True)
class Ways:
    """Ways to search: for one task alone, and by what an epoch and a setting are chosen on dev."""

    task: str | None = None
    by: Keep = "cross_entropy"


def with_setting(recipe: Recipe, row: str, setting: Setting, epochs: int, ways: Ways = Ways()) -> Recipe:
    """The recipe with one row, its last stage trained with this setting, and with its first seeds alone.

    With a task the row is trained on it alone, with what the stage's `fit_on` has for it beside the setting.
    """
    task = ways.task
    *first, last = recipe.rows[row].stages
    own = {} if task is None else {"tasks": (task,)}
    last = last if task is None else last.on(task)
    fit = last.fit.model_copy(update={**setting, "epochs": epochs, "keep": ways.by})
    stages = (*first, last.model_copy(update={"fit": fit}))
    counted = {stage.steps_of: recipe.rows[stage.steps_of] for stage in stages if stage.steps_of is not None}
    rows = {**counted, row: recipe.rows[row].model_copy(update={"stages": stages, **own})}
    seeds = SeedsSpec(students=recipe.seeds.students[:1], teachers=recipe.seeds.teachers[:1])
    return recipe.model_copy(update={"rows": rows, "seeds": seeds, "export": None, "serve": None})


def trained(
    recipe: Recipe, base: Path, folder: Path, row: str, setting: Setting, epochs: int, ways: Ways = Ways()
) -> list[float]:
    """Train a row's students where they are not there yet: their mean cost on dev after each epoch.

    `base` is the recipe's own folder, `folder` the run's. Raises: TmkdError when a teacher has not scored what the row
    learns from.
    """
    run = RunFolder(with_setting(recipe, row, setting, epochs, ways), base, folder)
    placed = [(on, seed) for name, on, seed in run.placed_rows() if name == row]
    chains = [(chain, seed) for on, seed in placed for _, chain in run.row_students(row, on, seed)]
    for on, seed in placed:
        for step in distill_steps(run, row, on, seed):
            if step.state().kind != "done":
                step.execute()
    scores = [sealed(run.student_folder(chain, seed)).facts["dev"] for chain, seed in chains]
    most = 1.0 if ways.by == "accuracy" else 0.0
    return [most - float(score) for score in np.mean(scores, axis=0)]


def _trained_afresh(given: argparse.Namespace, row: str, setting: Setting, epochs: int, ways: Ways) -> list[float]:
    """As `trained`, in a process of its own: one that has trained for long is slower."""
    tune_process()
    return trained(*opened(given), row, setting, epochs, ways)


def opened(given: argparse.Namespace) -> tuple[Recipe, Path, Path]:
    """The recipe, its own folder and the run's."""
    read = read_recipe(given.recipe, given.changes)
    recipe = read if given.all else read.without_extras()
    return recipe, given.recipe.resolve().parent, given.runs / recipe.name


def search(
    recipe: Recipe,
    row: str,
    fit: Fit,
    rates: Iterable[float] = RATES,
    epochs: Sequence[int] = EPOCHS,
    ways: Ways = Ways(),
) -> list[Tried]:
    """All fits of a row that the rule tries; a line on stderr for each rate."""
    last = recipe.rows[row].stages[-1]
    found: list[Tried] = []
    for rate in rates:
        found += tries(fit, {"learning_rate": rate}, epochs if last.steps_of is None else (last.fit.epochs,))
        one = found[-1]
        best = f"best after {one.best_epoch}: {COSTS[ways.by]} on dev {one.cost:.4f}"
        print(f"{row}: rate {shown(rate)}, {one.epochs} epochs, {best}", file=sys.stderr, flush=True)
    return found


def shown(rate: float) -> str:
    """A rate with all its digits, in a form that YAML reads as a number: 5.0e-05."""
    mantissa, _, exponent = f"{rate:e}".partition("e")
    return f"{float(mantissa)!r}e{exponent}"


def fit_line(one: Tried, ways: Ways = Ways()) -> str:
    """The keys of a stage's `fit`, or of its `fit_on` for a task, that were chosen."""
    fit = f"{{learning_rate: {shown(one.setting['learning_rate'])}, epochs: {one.epochs}, keep: {ways.by}}}"
    return f"fit: {fit}" if ways.task is None else f"fit_on: {{{ways.task}: {fit}}}"


def table(tried: Mapping[str, Sequence[Tried]], ways: Ways = Ways()) -> str:
    """Markdown table of all fits, those chosen in bold."""
    lines = [f"| row | rate | epochs | best epoch | {COSTS[ways.by]} on dev |", "|---|---|---|---|---|"]
    for row, found in tried.items():
        best = chosen(found)
        for one in found:
            rate, cost = shown(one.setting["learning_rate"]), f"{one.cost:.4f}"
            cells = [row, rate, str(one.epochs), str(one.best_epoch), cost]
            lines.append(f"| {' | '.join(f'**{cell}**' if one is best else cell for cell in cells)} |")
    return "\n".join(lines)


def searched_rows(recipe: Recipe, named: Sequence[str], task: str | None = None) -> list[str]:
    """The rows named, or all that are trained on the task: those whose last stage dev can choose.

    Raises: UsageError for a name that is no row's, a task that is none, a row that is not trained on it, and a row
    with a `fit_on`, which a search for all tasks at once would not change.
    """
    if task is not None and task not in recipe.tasks:
        raise UsageError(f"--task: no task '{task}'; {did_you_mean(task, recipe.tasks)}")
    for name in named:
        if name not in recipe.rows:
            raise UsageError(f"--rows: no row '{name}'; {did_you_mean(name, recipe.rows)}")
    on = {row: recipe.rows[row].tasks or tuple(recipe.tasks) for row in recipe.rows}
    for row in named:
        if task is not None and task not in on[row]:
            raise UsageError(f"--task: row '{row}' is not trained on '{task}', but on {', '.join(on[row])}")
    rows = [row for row in named or recipe.rows if task is None or task in on[row]]
    rows = [row for row in rows if recipe.rows[row].stages[-1].alpha < 1]
    for row in rows:
        if task is None and not recipe.rows[row].stages[-1].fit_on.keys().isdisjoint(on[row]):
            raise UsageError(f"--task: row '{row}' has settings for single tasks (fit_on); name the task to search for")
    return rows


def main() -> None:
    """Read the options, search, and print the lines for the recipe and the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("recipe", type=Path)
    options.add_argument("--rows", nargs="+", default=[], help="without it: all")
    options.add_argument("--task", help="search for this task alone; it is needed where a row has a fit_on")
    options.add_argument("--by", choices=COSTS, default="cross_entropy", help="what chooses epochs and settings on dev")
    options.add_argument("--rates", nargs="+", type=float, default=RATES, help="without it: %(default)s")
    options.add_argument("--all", action="store_true", help="also the rows and teachers that the recipe marks extra")
    options.add_argument("--runs", type=Path, default=Path("runs"))
    options.add_argument("--set", dest="changes", action="append", default=[], help="a change of the recipe")
    given = options.parse_args()
    ways, tried = Ways(given.task, given.by), {}
    try:
        recipe, _, folder = opened(given)
        rows = searched_rows(recipe, given.rows, ways.task)
        with (
            lock_run(folder, given.recipe),
            ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
        ):
            for row in rows:

                def fit(setting: Setting, epochs: int, row: str = row) -> list[float]:
                    return pool.submit(_trained_afresh, given, row, setting, epochs, ways).result()

                tried[row] = search(recipe, row, fit, given.rates, ways=ways)
                print(f"{row}: {fit_line(chosen(tried[row]), ways)}", flush=True)
    except TmkdError as error:
        sys.exit(f"error: {error}")
    print(f"\n{table(tried, ways)}")


if __name__ == "__main__":
    main()
