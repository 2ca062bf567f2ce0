"""Training under the real torchrun, in several processes with gloo, beside one process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import yaml

import ranks_fit
import tiny
from object_server import BUCKET, Proxy
from tiny import World
from tmkd import ranks
from tmkd.flow.plan import states
from tmkd.object_store.uri import cache_folder

pytestmark = pytest.mark.slow

CLOSE = 1e-4
TESTS = Path(__file__).parent
FIT = TESTS / "ranks_fit.py"


def torchrun(processes: int, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a module (`-m` first) or a script with arguments in some processes, one thread each."""
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes, *words]
    environment = {**tiny.environment(), "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [*map(str, started)], env=environment, capture_output=True, text=True, timeout=300, cwd=Path.cwd()
    )


def errors(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines of tmkd on what went wrong, torchrun's own report aside."""
    assert ended.returncode != 0
    assert ended.stderr.count("Traceback") == 1, ended.stderr  # torchrun's own
    return [line for line in ended.stderr.splitlines() if line.startswith("error:")]


# Fits


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    ranks_fit.fit_all(folder)
    return folder


def compare(folder: Path, one_process: Path, name: str, first: int = 1) -> None:
    """Compare a fit with that in one process: steps from `first` on, the report, the weights."""
    found, expected = (json.loads((place / f"{name}.json").read_text()) for place in (folder, one_process))
    steps = [step for step, _ in expected["losses"]]
    assert [step for step, _ in found["losses"]] == steps[first - 1 :], name
    np.testing.assert_allclose(found["losses"], expected["losses"][first - 1 :], rtol=0, atol=CLOSE, err_msg=name)
    for key in ("dev", "losses"):
        np.testing.assert_allclose(found["report"][key], expected["report"][key], rtol=0, atol=CLOSE, err_msg=name)
    for key in ("best_epoch", "steps", "precision"):
        assert found["report"][key] == expected["report"][key], name
    weights, own = (safetensors.numpy.load_file(place / f"{name}.safetensors") for place in (folder, one_process))
    assert weights.keys() == own.keys()
    for weight, values in own.items():
        np.testing.assert_allclose(weights[weight], values, rtol=0, atol=CLOSE, err_msg=f"{name}: {weight}")


@pytest.mark.parametrize("processes", [2, 4])  # of four one has no pair of an epoch's last batch, which has three
def test_several_processes_train_as_one_does(one_process: Path, tmp_path: Path, processes: int) -> None:
    done = torchrun(processes, FIT, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ranks_fit.FITS:
        compare(tmp_path, one_process, name)
    assert done.stderr.count("web: step 12/12") == len(ranks_fit.FITS)  # rank 0 alone prints
    assert "FutureWarning" not in done.stderr


def test_two_processes_go_on_where_one_was_killed(one_process: Path, tmp_path: Path) -> None:
    ranks_fit.fit_all(tmp_path, calls=13)
    checkpoints = {path.name for path in (tmp_path / "work" / "golden").glob("checkpoint-*")}
    assert checkpoints
    done = torchrun(2, FIT, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("golden", "stage 2, best by dev", "averaged", "vote"):
        first = json.loads((tmp_path / f"{name}.json").read_text())["losses"][0][0]
        assert first in (4, 7, 10), name  # checkpoints are of steps 3, 6, 9
        compare(tmp_path, one_process, name, first)


def test_one_process_goes_on_where_two_were_killed(one_process: Path, tmp_path: Path) -> None:
    torchrun(2, FIT, tmp_path, 9)
    assert {path.name for path in (tmp_path / "work" / "golden").glob("checkpoint-*/rng_state_*.pth")} == {
        "rng_state_0.pth",
        "rng_state_1.pth",
    }
    ranks_fit.fit_all(tmp_path)
    for name in ("golden", "stage 2, best by dev", "averaged", "vote"):
        first = json.loads((tmp_path / f"{name}.json").read_text())["losses"][0][0]
        assert first in (4, 7, 10), name
        compare(tmp_path, one_process, name, first)


# Commands


def world_in(folder: Path) -> World:
    """A world with a row of one stage, the paper's of two, and one of two with averaged weights."""
    recipe = tiny.write_world(folder)
    values = yaml.safe_load(recipe.read_text())
    averaged = {"use": "pretrain", "fit": {**values["stages"]["pretrain"]["fit"], "average_last": 0.5}}
    rows = {name: values["rows"][name] for name in ("bert-3", "tmkd")}
    values["rows"] = {**rows, "averaged": {"stages": [averaged, "finetune"]}}
    tiny.write_recipe(recipe, values)
    return World(recipe)


def manifests(run: Path) -> dict[str, dict[str, Any]]:
    """Manifests of a run by their folders within it."""
    found = {path: json.loads(path.read_text()) for path in run.rglob("manifest.json")}
    return {str(path.parent.relative_to(run)): manifest for path, manifest in found.items()}


def files(run: Path) -> list[str]:
    """Names of all files of a run, without the digests and random names in them."""
    names = (str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    return sorted(re.sub("[0-9a-f]{16,}", "#", name) for name in names)


@pytest.fixture(scope="module")
def run_by_one(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = world_in(tmp_path_factory.mktemp("alone"))
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    return world


def compare_runs(world: World, run_by_one: World) -> None:
    """Compare all artifacts of a run with those of one process: names, settings, losses, accuracies."""
    assert files(world.run) == files(run_by_one.run)
    compare_manifests(world.run, run_by_one.run)
    assert {now.kind for _, now, _ in states(tiny.opened(world))} == {"done"}


def compare_manifests(run: Path, by_one: Path) -> None:
    """Compare settings, losses and accuracies of all artifacts."""
    found, expected = manifests(run), manifests(by_one)
    assert found.keys() == expected.keys()
    for folder, manifest in expected.items():
        own = found[folder]
        assert (own["step"], own["settings"]) == (manifest["step"], manifest["settings"]), folder
        for key in ("losses", "dev", "accuracy"):
            facts = manifest["facts"].get(key, 0)
            assert own["facts"].get(key, 0) == pytest.approx(facts, rel=0, abs=CLOSE), (folder, key)


def test_a_run_of_two_processes_makes_what_one_makes(tmp_path: Path, run_by_one: World) -> None:
    world = world_in(tmp_path)
    done = torchrun(2, "-m", "tmkd", "run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    compare_runs(world, run_by_one)
    for line in ("teach/t1\n", "steps done now, 0 were done already"):
        assert done.stderr.count(line) == 1, done.stderr
    assert "Warning" not in done.stderr
    assert done.stdout.count("bert-3") == run_stdout_count(run_by_one, "bert-3")
    again = tiny.tmkd("run", world.recipe, "--runs", world.runs)
    assert "0 steps done now" in again.stderr


def test_two_processes_of_a_machine_train_a_run_in_object_storage(s3: Proxy, tmp_path: Path, run_by_one: World) -> None:
    world, runs = world_in(tmp_path), f"s3://{BUCKET}/runs"
    done = torchrun(2, "-m", "tmkd", "run", world.recipe, "--runs", runs)
    assert done.returncode == 0, done.stderr
    compare_manifests(cache_folder(f"{runs}/tiny"), run_by_one.run)
    again = tiny.tmkd("run", world.recipe, "--runs", runs)
    assert "0 steps done now" in again.stderr


def run_stdout_count(world: World, word: str) -> int:
    """Times that one process prints a word in its table."""
    return tiny.tmkd("run", world.recipe, "--runs", world.runs).stdout.count(word)


# Failures

FAILING = """
import sys
from tmkd import ranks
from tmkd.errors import TmkdError
from tmkd.cli.app import main
from tmkd.train.trainer import StepTrainer

where, step_of, steps = int(sys.argv.pop(1)), StepTrainer.training_step, iter(range(3))

def failing(self, *given):
    if ranks.rank() == where and next(steps, None) is None:
        raise TmkdError("this rank is out of luck")
    return step_of(self, *given)

StepTrainer.training_step = failing
main()
"""


@pytest.mark.parametrize(("rank", "line"), [(0, "error: this"), (1, "error: rank 1: this")])
def test_a_failure_on_any_rank_ends_all_with_one_line(tmp_path: Path, rank: int, line: str) -> None:
    world = world_in(tmp_path)
    (tmp_path / "failing.py").write_text(FAILING)
    ended = torchrun(2, tmp_path / "failing.py", rank, "run", world.recipe, "--runs", world.runs)
    assert errors(ended) == [f"{line} rank is out of luck"]


def test_a_killed_rank_ends_all_with_one_line_and_one_process_goes_on(tmp_path: Path, run_by_one: World) -> None:
    world = world_in(tmp_path)
    (tmp_path / "killed.py").write_text(tiny.KILLED_AT)
    ended = torchrun(2, tmp_path / "killed.py", "sealed.json", 3, "run", world.recipe, "--runs", world.runs)
    (line,) = errors(ended)
    assert line.endswith(ranks.GONE)
    work = world.run / "teachers" / "toy" / "t1" / ".work"
    assert (work / "checkpoint-8" / "sealed.json").is_file()
    assert not (work / "checkpoint-12" / "sealed.json").exists()
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    compare_runs(world, run_by_one)


def test_two_processes_go_on_with_a_run_that_one_began(tmp_path: Path, run_by_one: World) -> None:
    world = world_in(tmp_path)
    killed = tiny.tmkd("run", world.recipe, "--runs", world.runs, killed_at=("sealed.json", 3))
    assert killed.returncode != 0
    done = torchrun(2, "-m", "tmkd", "run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    compare_runs(world, run_by_one)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--jobs", 2], "error: --jobs 2: under torchrun all processes train one step together; leave --jobs out"),
        (["--set", "student.layer=2"], "error: "),
    ],
)
def test_wrong_usage_is_printed_once(tmp_path: Path, words: list[object], line: str) -> None:
    world = world_in(tmp_path)
    (printed,) = errors(torchrun(2, "-m", "tmkd", "run", world.recipe, "--runs", world.runs, *words))
    assert printed.startswith(line)


def test_other_ranks_wait_for_a_command_that_does_not_train(tmp_path: Path) -> None:
    world = world_in(tmp_path)
    done = torchrun(2, "-m", "tmkd", "show", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    assert done.stdout == tiny.tmkd("show", world.recipe, "--runs", world.runs).stdout
