"""Runner of a recipe: one process at a time makes the steps that are missing or stale, and prints each."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console

from tmkd.data.utf8 import without_mark
from tmkd.errors import TmkdError
from tmkd.flow.check import check_bodies
from tmkd.flow.fragments import FragmentWriter
from tmkd.flow.health import drawn_poolers
from tmkd.flow.hours import hours_left
from tmkd.flow.making import make
from tmkd.flow.plan import BY_ENGINE, VERBS, states, steps
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.side_by_side import StepFailed, work_side_by_side
from tmkd.flow.step import KEY, Step
from tmkd.process import earlier_steps
from tmkd.progress import clock
from tmkd.store import MANIFEST, Manifest, State

_PAUSE = 0.1  # seconds between tries of a lock


class NotServed(TmkdError):
    """Failure of the export or of what is made of the bundle; all else can be made without it."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """Steps made at once, and the cores that each of them has for its processes and threads."""

    steps: int
    cores: int


def work(
    run: RunFolder,
    recipe: Path,
    verbs: Container[str],
    console: Console,
    between: Callable[[int], None],
    jobs: Jobs | None = None,
) -> None:
    """Make every step of some verbs that is missing or stale, in order, and print each; with `jobs` side by side.

    `recipe` is the file that `run` was read from; `between` is called after each step made, with their number so far,
    unless steps have processes of their own.
    Raises: NotServed when the export or the precomputation fails; TmkdError for another step, or a missing input.
    """
    for _ in steps(run):  # a name in the recipe that leads nowhere raises here, before hours of work
        pass
    check_bodies(run)
    with hold_run(run, recipe, console):
        fragments = FragmentWriter(run) if run.remote is None else None  # a copy of the run has all that they need
        lines = _Lines(console, list(drawn_poolers(run)), fragments, with_titles=jobs is not None)
        found = [(step, now.kind == "done") for step, now, _ in states(run)]
        done = [step for step, is_done in found if is_done]
        for step in done:
            lines.keep(step)
        if any(step.verb in verbs and step.verb in BY_ENGINE for step, is_done in found if not is_done):
            run.engine.check()
        if all(verb in verbs for verb in VERBS) and not earlier_steps() and (left := hours_left(run)):
            console.print(left, highlight=False, soft_wrap=True)
        try:
            if jobs is None:
                _work_in_turn(run, recipe, verbs, lines, between)
            else:
                work_side_by_side(run, verbs, jobs.steps, jobs.cores, lines.begun, lines.ended)
        except StepFailed as failure:
            if failure.step.verb in ("export", "precompute") and isinstance(failure.__cause__, TmkdError):
                raise NotServed(str(failure.__cause__)) from failure
            raise failure.__cause__ or failure from None
        # Steps that this command made in an earlier process count as made now.
        earlier, before = earlier_steps(), sum(step.verb in verbs for step in done)
        console.print(
            f"{lines.made + earlier} steps done now, {max(before - earlier, 0)} were done already", highlight=False
        )


def _work_in_turn(
    run: RunFolder, recipe: Path, verbs: Container[str], lines: _Lines, between: Callable[[int], None]
) -> None:
    """Make the steps in this process, one after the other. Raises: StepFailed from a step's TmkdError."""
    for step, now, waiting in states(run):
        if step.verb not in verbs:
            continue
        if waiting:
            raise TmkdError(f"{step.title}: {waiting} is not done; run that verb first, or all with: tmkd run {recipe}")
        if now.kind == "done":
            continue
        lines.begun(step, now)
        try:
            manifest = make(run, step)
        except TmkdError as error:
            raise StepFailed(step) from error
        lines.ended(step, manifest)
        between(lines.made)


class _Lines:
    """Printed lines of a command: each step as it begins and ends; `made` counts those that ended."""

    def __init__(
        self, console: Console, poolers: Sequence[str], fragments: FragmentWriter | None, with_titles: bool
    ) -> None:
        self._console, self._poolers, self._fragments, self._with_titles = console, poolers, fragments, with_titles
        self.made = 0

    def begun(self, step: Step, now: State) -> None:
        """Print the step's title, and before the first training the poolers that are drawn anew."""
        if step.verb in ("teach", "distill"):
            for line in self._poolers:
                self._console.print(line, highlight=False, markup=False, soft_wrap=True)
            self._poolers = ()
        reason = f" ({now.kind}: {now.why})" if now.kind == "stale" else ""
        self._console.print(f"[bold]{step.title}[/]{reason}", highlight=False, soft_wrap=True)

    def ended(self, step: Step, manifest: Manifest) -> None:
        """Print how long the step took and what it counted; with its title where others are printed between."""
        self.made += 1
        title = f"{step.title}:" if self._with_titles else " "
        line = f"{title} done in {clock(manifest.seconds)}{_fact_words(manifest.facts)}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=self._with_titles)
        for line in manifest.facts.get("warnings", ()):
            self._console.print(f"{title} warning: {line}", highlight=False, markup=False, soft_wrap=True)
        self.keep(step)

    def keep(self, step: Step) -> None:
        """Write the fragments that a step which is done completes; one that cannot be written is told."""
        if self._fragments is None:
            return
        try:
            self._fragments.add(step.folder)
        except TmkdError as error:
            self._console.print(
                f"warning: a fragment is missing: {error}", highlight=False, markup=False, soft_wrap=True
            )


def remove_unwanted(readings: Sequence[RunFolder], recipe: Path, console: Console) -> None:
    """Remove stale artifacts, and those that no step makes in any of these readings of one recipe."""
    wanted: set[Path] = set()
    stale: set[Path] = set()
    open_ends = False
    root, remote = readings[0].folder, readings[0].remote
    with hold_run(readings[0], recipe, console):
        for run in readings:
            for step, now, _ in states(run):
                (stale if now.kind == "stale" else wanted).add(step.folder)
                open_ends |= bool(step.waits)
            wanted |= {model.path for model in run.models.values()}
        made = {path.parent for mark in (MANIFEST, KEY) for path in root.rglob(mark)}
        if open_ends:  # students of rows whose best teacher is not known yet look like any others
            made -= {path for place in ("students", "predictions") for path in (root / place).rglob("*")}
        removed = sorted(folder for folder in (stale - wanted) | (made - wanted) if folder.is_dir())
        for folder in removed:
            if remote is not None:
                remote.remove(folder)
            shutil.rmtree(folder)
            console.print(f"removed {folder}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"{len(removed)} artifacts removed", highlight=False)


@contextmanager
def hold_run(run: RunFolder, recipe: Path, console: Console) -> Iterator[None]:
    """Hold a run: its folder here, and in object storage its lock.

    Raises: TmkdError when another process holds it, naming that in object storage, or it is another recipe's.
    """
    remote = run.remote
    if remote is None:
        with lock_run(run.folder, recipe):
            yield
        return
    with (
        lock_run(run.folder, recipe, remote.holder),
        remote.locked(lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True)),
    ):
        remote.objects.write("recipe.yaml", recipe.read_bytes())
        yield


@contextmanager
def lock_run(folder: Path, recipe: Path, holder: Callable[[], str] = str) -> Iterator[None]:
    """Hold a run folder: one process at a time, and only for the recipe file it was begun with.

    `holder` gives words for the process that holds it. Raises: TmkdError when it is held, or another recipe's.
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
            _hold(lock)
        except BlockingIOError:
            found = holder()
            raise TmkdError(
                f"{folder} is in use by another tmkd process{found and f': {found}'}; wait for it, or give another "
                "--runs"
            ) from None
        origin.write_bytes(os.fsencode(f"# {recipe.resolve()}\n") + without_mark(recipe.read_bytes(), str(recipe)))
        yield


def _hold(lock: BinaryIO) -> None:
    """Lock a run folder's file; waits while others only list the run's manifests.  Raises: BlockingIOError."""
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(_PAUSE)


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
