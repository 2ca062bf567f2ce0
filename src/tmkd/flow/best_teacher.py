"""Best teacher of a row, by accuracy on its task's dev set: the one there is, or one that may turn out so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tmkd.distill.rows import best_by_dev, declared
from tmkd.recipe.schema import Recipe
from tmkd.store import read_manifest


class NotYet(Exception):
    """Word of the recipe (`best`) that cannot be resolved before earlier steps are done."""


def best(recipe: Recipe, soft_folder: Callable[[str, str], Path], names: tuple[str, ...]) -> str:
    """The teacher with the highest accuracy on its task's dev set; `soft_folder` has its logits for a corpus.

    Raises: NotYet naming the step whose accuracy is missing.
    """
    dev = {}
    for name in names:
        corpus = _dev_of(recipe, name)
        if name not in declared(recipe, corpus):
            continue
        manifest = read_manifest(soft_folder(corpus, name))
        if manifest is None:
            raise NotYet(f"score/{corpus}/{name}")
        if "accuracy" in manifest.facts:
            dev[name] = manifest.facts["accuracy"]
    return best_by_dev(names, dev)


def best_possible(recipe: Recipe, names: tuple[str, ...]) -> str:
    """A teacher that may turn out the best.  Raises: TmkdError when none of them scores its task's dev set."""
    on_dev = dict.fromkeys((name for name in names if name in declared(recipe, _dev_of(recipe, name))), 0.0)
    return best_by_dev(names, on_dev)


def _dev_of(recipe: Recipe, teacher: str) -> str:
    return f"{recipe.teachers[teacher].task}/dev"
