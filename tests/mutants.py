"""Mutation testing: one small change of a module at a time, in a copy of the tree. A change that no test sees survives.

    python tests/mutants.py [MODULE …] [--seconds 900] [--seed 1]

A module is named as `evaluate/results`; without one, ten mutants of each module are tried, in a seeded order. The tests
of a module are those of its mirror path and those in mutants.yaml, which also lists the accepted survivors. Results are
kept in .mutants.jsonl: killed mutants are not tried again, survivors are when their tests have changed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from mutations import Mutant, mutants

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src", "tmkd")
RESULTS = ROOT / ".mutants.jsonl"
TABLE = Path(__file__).with_suffix(".yaml")
A_MODULE = 10  # mutants of each module when none is named
LOG = ".pytest.log"
# Loaded once, before the process forks for each mutant: most of what starting Python for every one would cost.
LOADED = ("numpy", "pyarrow.parquet", "safetensors.torch", "tokenizers", "torch", "transformers.trainer")
PATIENCE = 4  # times the tests' own time, after which a mutant that hangs counts as killed

Verdict = Literal["killed", "survived"]


@dataclass(frozen=True)
class Result:
    """What the tests said of one mutant; `tests` is their digest."""

    mutant: str
    verdict: Verdict
    tests: str


class Copy:
    """A copy of src and tests in which a module is changed; all else in the tree is linked."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        for path in root.iterdir():
            if path.name in ("src", "tests"):
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif path.name not in (".git", ".venv", RESULTS.name):
                (folder / path.name).symlink_to(path)

    def log(self) -> str:
        """What pytest wrote the last time."""
        return (self.folder / LOG).read_text(encoding="utf-8")

    def passes(self, tests: list[Path], seconds: float | None) -> bool:
        """Whether the tests pass in the copy, within that many seconds."""
        child = multiprocessing.get_context("fork").Process(target=self._run, args=(tests,))
        child.start()
        child.join(seconds)
        if child.exitcode is None:
            assert child.pid is not None
            os.killpg(child.pid, signal.SIGKILL)
            child.join()
            return False
        if child.exitcode == pytest.ExitCode.USAGE_ERROR or child.exitcode == pytest.ExitCode.NO_TESTS_COLLECTED:
            raise SystemExit(f"pytest could not run {', '.join(map(str, tests))}:\n{self.log()}")
        return child.exitcode == 0

    def _run(self, tests: list[Path]) -> None:
        """Run pytest in a process of its own; ends with pytest's exit code."""
        os.setsid()
        log = os.open(self.folder / LOG, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(log, stream)
        places = [str(self.folder / name) for name in ("src", "tests")]
        for name, module in [*sys.modules.items()]:  # the copy's are to be loaded
            if name != "__main__" and ROOT in Path(getattr(module, "__file__", None) or "/").parents:
                del sys.modules[name]
        sys.path[:0] = places
        # No bytecode: two mutants of one size, written within a second, would share it.
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"}
        os.chdir(self.folder)
        # What is loaded before pytest starts has no assertions of ours.
        options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        sys.exit(pytest.main([*options, *map(str, tests)]))


def mapped_tests(module: str, table: Mapping[str, list[str]], root: Path) -> list[Path]:
    """Test files of a module (`flow/teach`): its mirror path, and those that the table adds; paths below the root."""
    folder, name = root / "tests" / Path(module).parent, Path(module).name
    found = sorted(folder.glob(f"test_{name}.py")) + [root / "tests" / one for one in table.get(module, [])]
    return [path.relative_to(root) for path in dict.fromkeys(found)]


def try_mutants(
    module: str, tests: list[Path], most: int | None, seed: int, until: float, root: Path = ROOT, kept: Path = RESULTS
) -> Iterator[tuple[Mutant, Verdict]]:
    """Each mutant of a module and its verdict, in a seeded order, until `most` are tried or the time has come."""
    path = PACKAGE / f"{module}.py"
    every = mutants((root / path).read_text(encoding="utf-8"))
    random.Random(f"{seed} {module}").shuffle(every)
    digest = hashlib.sha256(b"".join((root / test).read_bytes() for test in tests)).hexdigest()
    before = _read(kept)
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copy, seconds = None, 0.0
        for mutant in every[:most]:
            name = f"{module}: {mutant.name}"
            known = before.get(name)
            if known is not None and (known.verdict == "killed" or known.tests == digest):
                yield mutant, known.verdict
                continue
            if time.monotonic() > until:
                return
            if copy is None:
                copy, start = Copy(Path(scratch), root), time.monotonic()
                if not copy.passes(tests, None):
                    raise SystemExit(f"{module}: its tests fail without any mutant:\n{copy.log()}")
                seconds = time.monotonic() - start
            (copy.folder / path).write_text(mutant.source, encoding="utf-8")
            verdict: Verdict = "survived" if copy.passes(tests, 30 + PATIENCE * seconds) else "killed"
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(Result(name, verdict, digest))) + "\n")
            yield mutant, verdict


def _read(kept: Path) -> dict[str, Result]:
    """The last result of every mutant so far, by its name."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
    return {result.mutant: result for result in (Result(**json.loads(line)) for line in lines)}


def main() -> None:
    """Try mutants until the time is over, and print the survivors; ends with 1 if there is one."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("modules", nargs="*", metavar="MODULE")
    reader.add_argument("--seconds", type=float, default=900)
    reader.add_argument("--seed", type=int, default=1)
    given = reader.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # threads do not outlive a fork
    for name in LOADED:
        importlib.import_module(name)
    table: dict[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    accepted = {(one["module"], one["old"], one["new"]) for one in table["accepted"]}
    modules = given.modules or [path.relative_to(ROOT / PACKAGE).with_suffix("").as_posix() for path in _modules()]
    if not given.modules:
        random.Random(given.seed).shuffle(modules)
    until = time.monotonic() + given.seconds
    counts = {"killed": 0, "survived": 0, "accepted": 0}
    survivors = []
    for module in modules:
        tests = mapped_tests(module, table["tests"], ROOT)
        if not tests:
            print(f"{module}: no tests", file=sys.stderr)
            continue
        for mutant, verdict in try_mutants(module, tests, None if given.modules else A_MODULE, given.seed, until):
            told = "accepted" if (module, mutant.old, mutant.new) in accepted else verdict
            counts[told] += 1
            print(f"{told:8}  {module}: {mutant.name}", file=sys.stderr, flush=True)
            if told == "survived":
                survivors.append(f"{PACKAGE}/{module}.py:{mutant.line}: {mutant.what}\n- {mutant.old}\n+ {mutant.new}")
    print(*survivors, ", ".join(f"{count} {told}" for told, count in counts.items()), sep="\n\n")
    raise SystemExit(bool(survivors))


def _modules() -> list[Path]:
    return sorted(path for path in (ROOT / PACKAGE).rglob("*.py") if not path.name.startswith("__"))


if __name__ == "__main__":
    main()
