"""Runner of a recipe: one process at a time makes the steps that are missing or stale, and prints each."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from tmkd.data.utf8 import without_mark
from tmkd.errors import TmkdError
from tmkd.flow.check import check_bodies
from tmkd.flow.health import drawn_poolers
from tmkd.flow.plan import steps
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import KEY, Step
from tmkd.process import earlier_steps
from tmkd.progress import clock
from tmkd.store import MANIFEST, State


class NotServed(TmkdError):
    """Failure of the export or of what is made of the bundle; all else can be made without it."""


def work(run: RunFolder, recipe: Path, verbs: Container[str], console: Console, between: Callable[[int], None]) -> None:
    """Make every step of some verbs that is missing or stale, in order, and print each.

    `recipe` is the file that `run` was read from; `between` is called after each step made, with their number so far.
    Raises: NotServed when the export or the precomputation fails; TmkdError for another step, or a missing input.
    """
    for _ in steps(run):  # a name in the recipe that leads nowhere raises here, before hours of work
        pass
    check_bodies(run)
    poolers = list(drawn_poolers(run))
    with lock_run(run.folder, recipe):
        made = skipped = 0
        for step, now, waiting in states(run):
            if step.verb not in verbs:
                continue
            if waiting:
                raise TmkdError(
                    f"{step.title}: {waiting} is not done; run that verb first, or all with: tmkd run {recipe}"
                )
            if now.kind == "done":
                skipped += 1
                continue
            reason = f" ({now.kind}: {now.why})" if now.kind == "stale" else ""
            if step.verb in ("teach", "distill"):
                for line in poolers:
                    console.print(line, highlight=False, markup=False, soft_wrap=True)
                poolers = []
            console.print(f"[bold]{step.title}[/]{reason}", highlight=False, soft_wrap=True)
            try:
                manifest = step.execute()
            except TmkdError as error:
                if step.verb in ("export", "precompute"):
                    raise NotServed(str(error)) from error
                raise
            made += 1
            console.print(
                f"  done in {clock(manifest.seconds)}{_fact_words(manifest.facts)}", highlight=False, markup=False
            )
            for line in manifest.facts.get("warnings", ()):
                console.print(f"  warning: {line}", highlight=False, markup=False, soft_wrap=True)
            between(made)
        # Steps that this command made in an earlier process count as made now.
        earlier = earlier_steps()
        console.print(f"{made + earlier} steps done now, {skipped - earlier} were done already", highlight=False)


def states(run: RunFolder) -> Iterator[tuple[Step, State, str]]:
    """Iterate over every step with its state and the undone step it depends on: then it is stale or missing itself.

    A step that is made before the next one is asked for counts as done.
    """
    undone: dict[Path, str] = {}
    for step in steps(run):
        now = step.state()
        waiting = next((undone[folder] for folder in step.needs.values() if folder in undone), "")
        if now.kind == "done" and waiting:
            now = State("stale", f"needs {waiting}", now.seconds)
        yield step, now, waiting
        if waiting or (now.kind != "done" and step.state().kind != "done"):
            undone[step.folder] = step.title


def remove_unwanted(readings: Sequence[RunFolder], recipe: Path, console: Console) -> None:
    """Remove stale artifacts, and those that no step makes in any of these readings of one recipe."""
    wanted: set[Path] = set()
    stale: set[Path] = set()
    open_ends = False
    root = readings[0].folder
    with lock_run(root, recipe):
        for run in readings:
            for step, now, _ in states(run):
                (stale if now.kind == "stale" else wanted).add(step.folder)
                open_ends |= bool(step.waits)
        made = {path.parent for mark in (MANIFEST, KEY) for path in root.rglob(mark)}
        if open_ends:  # students of rows whose best teacher is not known yet look like any others
            made -= {path for place in ("students", "predictions") for path in (root / place).rglob("*")}
        removed = sorted(folder for folder in (stale - wanted) | (made - wanted) if folder.is_dir())
        for folder in removed:
            shutil.rmtree(folder)
            console.print(f"removed {folder}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"{len(removed)} artifacts removed", highlight=False)


@contextmanager
def lock_run(folder: Path, recipe: Path) -> Iterator[None]:
    """Hold a run folder: one process at a time, and only for the recipe file it was begun with.

    Raises: TmkdError when it is held, or another recipe's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    origin = folder / "recipe.yaml"
    if origin.is_file():
        first = origin.read_bytes().splitlines()[:1]
        owner = Path(os.fsdecode(first[0].removeprefix(b"# "))) if first else recipe
        if owner.is_file() and owner.resolve() != recipe.resolve():
            raise TmkdError(
                f"{folder} belongs to the recipe {owner}; change the name in {recipe}, or give another --runs"
            )
    with (folder / ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TmkdError(
                f"{folder} is in use by another tmkd process; wait for it, or give another --runs"
            ) from None
        origin.write_bytes(os.fsencode(f"# {recipe.resolve()}\n") + without_mark(recipe.read_bytes(), str(recipe)))
        yield


def _fact_words(facts: Mapping[str, Any]) -> str:
    """Counts among a step's facts, short enough for one line."""
    counts = {
        key.replace("_", " "): value
        for key, value in facts.items()
        if value not in (None, 0, [], {}) and not isinstance(value, list | dict)
    }
    return "".join(
        f", {name} {value:.4g}" if isinstance(value, float) else f", {name} {value}" for name, value in counts.items()
    )
