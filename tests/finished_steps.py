"""Steps and files of a run as tests compare them: what a command made, what lies in the folder, what is stale."""

from __future__ import annotations

import json
from pathlib import Path

from tiny import Call, Said, World
from tmkd.flow.plan import steps
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step

KINDS = ("index", "questions", "collect", "teach", "score", "tokens", "distill", "evaluate", "export", "precompute")


def steps_made(said: Said) -> list[str]:
    """Titles of the steps that a command made, in order, from its output."""
    made, title = [], ""
    for line in said.err.splitlines():
        if line.partition("/")[0] in KINDS and ": step " not in line:
            title = line.partition(" (")[0]
        elif line.startswith("  done in"):
            made.append(title)
    assert f"{len(made)} steps done now" in said.err
    return made


def printed_rows(out: str) -> list[str]:
    """First words of the lines of the first table that a report prints, up to its caption; empty without one."""
    lines = [line.split()[0] if line.split() else "" for line in out.splitlines()]
    return lines[: lines.index("Accuracy,")] if lines else []


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of a run with its size and time of change, those aside that every command may touch."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".lock", "recipe.yaml")
    }


def states(tmkd: Call, world: World, *words: object) -> dict[str, tuple[str, str]]:
    """Step → (state, why) as `tmkd show` prints it."""
    said = tmkd("show", world.recipe, "--runs", world.runs, "--json", *words)
    assert said.code == 0, said.err
    return {one["step"]: (one["state"], one["why"]) for one in json.loads(said.out)}


def planned(run: RunFolder, verb: str) -> list[Step]:
    """Steps of a verb in the plan of a run."""
    return [step for step in steps(run) if step.verb == verb]
