"""Step of the flow: an artifact folder, what it needs, and how it is made, resumed and sealed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tmkd import ranks
from tmkd.errors import TmkdError
from tmkd.flow.rules import rules_of
from tmkd.store import (
    MANIFEST,
    WORK,
    Manifest,
    State,
    digest_json,
    read_manifest,
    state,
    verify,
    write_atomic,
    write_manifest,
)
from tmkd.train.estimate import Estimate, Sizes

RULES = "rules"  # among the settings of a manifest
KEPT_UNDER = ".rules"  # number of the rules under which the files of a folder were made
KEY = ".key"  # digest of the inputs and settings that the unfinished content of a folder belongs to

Make = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """Step of the flow, one artifact: `needs` are sealed folders it reads, `outside` digests of files from outside.

    `make` gets the folder, with a scratch folder `.work` in it, and returns facts. `keep` are patterns of files that
    stay when the step is made anew: `make` itself finds out which of them still hold. `shards` are such patterns too,
    of files that are whole once they are there: another machine goes on from them. `waits` names the step that must
    be done before this one is even known. `reads` are sealed folders that must be there too but decide nothing in the
    artifact beyond its inputs, so they are none. A step that measures time is `alone`: no other runs beside it. A step
    that `trains` is made by all ranks under torchrun, any other by rank 0 alone. `estimate` gives its cost from the
    sizes of the corpora.
    """

    name: str
    verb: str
    folder: Path
    needs: Mapping[str, Path]
    settings: Mapping[str, Any]
    make: Make
    outside: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    waits: str = ""
    shown: str = ""
    alone: bool = False
    trains: bool = False
    reads: tuple[Path, ...] = ()
    estimate: Callable[[Sizes], Estimate] = lambda sizes: Estimate(0, 1, 0)

    @property
    def title(self) -> str:
        """Name of the step for people."""
        return self.shown or self.name

    def state(self) -> State:
        """Done, stale (and why) or missing; a step is stale as well when what it needs is not done."""
        if self.waits:
            return State("missing", f"waits for {self.waits}")
        inputs, absent = self._inputs()
        if absent:
            return State("missing" if read_manifest(self.folder) is None else "stale", f"waits for {absent}")
        rules, manifest = rules_of(self.name), read_manifest(self.folder)
        if manifest is not None and manifest.step == self.name:
            before = manifest.settings.get(RULES, 0)
            if before != rules.number:
                why = f"rules {before}, this tmkd has {rules.number}" + (f": {rules.why}" if rules.why else "")
                return State("stale", why, manifest.seconds)
        return state(self.folder, self.name, inputs, self._under_rules())

    def _under_rules(self) -> dict[str, Any]:
        """Settings of the manifest: the step's own, and the number of its rules."""
        number = rules_of(self.name).number
        return {**self.settings, RULES: number} if number else dict(self.settings)

    def _inputs(self) -> tuple[dict[str, str], str]:
        """Digests of all inputs, and the name of the first one that is not there yet."""
        inputs = dict(self.outside)
        for name, folder in self.needs.items():
            manifest = read_manifest(folder)
            if manifest is None:
                return inputs, name
            inputs[name] = manifest.digest
        return inputs, ""

    def execute(self) -> Manifest:
        """Make the artifact; an interrupted run with the same inputs and settings is gone on with.

        Raises: TmkdError when an input is not done or damaged, or the step itself fails.
        """
        if self.waits:
            raise TmkdError(f"{self.title}: waits for {self.waits}; do that first, or all with: tmkd run RECIPE")
        inputs, absent = self._inputs()
        if absent:
            raise TmkdError(f"{self.title}: {absent} is not done; run that verb first, or all with: tmkd run RECIPE")
        for folder in (*self.needs.values(), *self.reads):
            verify(folder)
        settings = self._under_rules()
        key = digest_json([inputs, settings])
        self._prepare(key)
        work = self.folder / WORK
        work.mkdir(exist_ok=True)
        start = time.perf_counter()
        if self.trains:
            ranks.send({"make": str(self.folder)})
        facts = self.make(self.folder)
        # Training returns its own seconds, over all restarts.
        seconds = max(facts.pop("seconds", 0.0), time.perf_counter() - start)
        # Sealed before the scratch goes: a crash in between costs disk, the other way round it would cost the training.
        manifest = write_manifest(self.folder, self.name, inputs, settings, facts, seconds)
        shutil.rmtree(work, ignore_errors=True)
        (self.folder / KEY).unlink(missing_ok=True)
        return manifest

    def _prepare(self, key: str) -> None:
        """Empty the folder of all that belongs to another key; the manifest goes first, the key is written last."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = self.folder / KEY
        if mark.is_file() and mark.read_bytes() == key.encode() and not (self.folder / MANIFEST).exists():
            return
        number = rules_of(self.name).number
        before = self.folder / KEPT_UNDER
        same = number == (int(before.read_text(encoding="utf-8")) if before.is_file() else 0)
        (self.folder / MANIFEST).unlink(missing_ok=True)
        mark.unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if same and any(path.match(pattern) for pattern in (*self.keep, *self.shards)):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if number and (self.keep or self.shards):
            write_atomic(before, str(number).encode())
        write_atomic(mark, key.encode())


def never_made(folder: Path) -> dict[str, Any]:
    """`make` of a step that waits: it is planned anew before anything calls it."""
    raise AssertionError("a step that waits is not made")
