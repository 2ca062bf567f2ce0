"""The runner: resumed after a kill, nothing done twice, damage found, one process at a time, and cleaning."""

from __future__ import annotations

import fcntl
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

import tiny
from finished_steps import snapshot, states, steps_made
from tiny import Call, World
from tmkd.errors import TmkdError
from tmkd.flow.plan import steps
from tmkd.store import read_manifest


def test_no_scratch_is_left(finished_world: World) -> None:
    hidden = [path for path in finished_world.run.rglob(".*") if path.parent.name != ".words"]
    assert {path.name for path in hidden} == {".lock", ".words", ".shards.jsonl", ".rules"}


def test_a_second_run_finds_all_done(finished: World, tmkd: Call) -> None:
    before = snapshot(finished.run)
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0
    assert steps_made(said) == []
    assert "37 were done already" in said.err
    assert said.out == (finished.recipe.parent / "stdout").read_text()
    assert snapshot(finished.run) == before


def test_killed_inside_a_stage_it_goes_on_and_ends_with_the_same_report(finished: World, tmkd: Call) -> None:
    expected = tiny.comparable(finished.run / "report.json")
    weights = {path.parent.name: path.read_bytes() for path in finished.run.glob("students/*/model.safetensors")}
    for name in ("students", "predictions", "report"):
        shutil.rmtree(finished.run / name)
    killed = tiny.tmkd("run", finished.recipe, "--runs", finished.runs, killed_at=("sealed.json", 15))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (unfinished,) = [path for path in (finished.run / "students").iterdir() if read_manifest(path) is None]
    assert list(unfinished.glob(".work/checkpoint-*/sealed.json"))
    done = len(list((finished.run / "students").iterdir())) - 1
    assert done > 0
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    assert len([step for step in steps_made(said) if step.startswith("distill/")]) == 9 - done
    assert tiny.comparable(finished.run / "report.json") == expected
    for name, data in weights.items():
        assert (finished.run / "students" / name / "model.safetensors").read_bytes() == data


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_between_two_files_it_ends_with_the_same_report(
    world: World, finished_world: World, seed: int
) -> None:
    moments = random.Random(seed)
    for _ in range(60):
        done = tiny.tmkd("run", world.recipe, "--runs", world.runs, killed_at=("", moments.randint(6, 40)))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert tiny.comparable(world.run / "report.json") == tiny.comparable(finished_world.run / "report.json")


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_report(world: World, finished_world: World) -> None:
    moments = random.Random(3)
    for _ in range(12):
        words = tiny.command("run", world.recipe, "--runs", world.runs)
        started = subprocess.Popen(words, env=tiny.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.3, 8))
        started.kill()
        started.wait()
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    assert tiny.comparable(world.run / "report.json") == tiny.comparable(finished_world.run / "report.json")


@pytest.mark.slow
def test_a_fresh_process_for_every_step_ends_with_the_same_report(
    world: World, finished_world: World, tmp_path: Path
) -> None:
    (tmp_path / "tmkd").write_text(
        "from tmkd import process\nfrom tmkd.cli.app import main\nprocess._AGED = -1.0\nmain()\n"
    )
    words: list[str | Path] = [sys.executable, tmp_path / "tmkd", "run", world.recipe, "--runs", world.runs]
    done = subprocess.run(words, env=tiny.environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    planned = len([*steps(tiny.opened(world))])
    assert f"{planned} steps done now, 0 were done already" in done.stderr
    assert tiny.comparable(world.run / "report.json") == tiny.comparable(finished_world.run / "report.json")


@pytest.mark.parametrize(
    ("step", "file", "setting"),
    [
        ("collect/toy", "train/shard-00000.parquet", "rows.mkd.stages.0.alpha=0.9"),
        ("score/toy/train/t1", "*.safetensors", "rows.mkd.stages.0.alpha=0.9"),
        ("distill/toy/tmkd/1/stage 1", "model.safetensors", "rows.tmkd.stages.1.alpha=0.9"),
        ("evaluate/toy/teacher t1", "test.safetensors", "evaluate.batch=2"),
        ("teach/t1", "model.safetensors", "evaluate.batch=2"),
        ("distill/toy/bert-3/1", "tokenizer.json", "evaluate.batch=2"),
        ("evaluate/report", "report.json", "device=cpu"),
    ],
)
def test_a_flipped_byte_is_found_and_named_before_it_is_used(
    finished: World, tmkd: Call, step: str, file: str, setting: str
) -> None:
    listed = json.loads(tmkd("show", finished.recipe, "--runs", finished.runs, "--json").out)
    (path,) = next(Path(one["folder"]) for one in listed if one["step"] == step).glob(file)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for words in (["check"], ["run", "--set", setting]):
        said = tmkd(words[0], finished.recipe, "--runs", finished.runs, *words[1:])
        assert said.code == 1
        assert said.out == ""
        last = said.err.splitlines()[-1]
        assert last.startswith("error:")
        assert str(path) in last


def test_a_step_is_not_made_from_stale_ones(finished: World, world: World, tmkd: Call) -> None:
    said = tmkd("distill", finished.recipe, "--runs", finished.runs, "--set", "teachers.t1.seed=9")
    assert said.code == 1
    assert "score/toy/train/t1 is not done; run that verb first, or all with: tmkd run" in said.err
    said = tmkd("teach", world.recipe, "--runs", world.runs)
    assert said.code == 1
    assert "teach/t1: collect/toy is not done; run that verb first" in said.err


def test_another_recipe_of_the_same_name_is_refused(finished: World, tmkd: Call) -> None:
    assert tmkd("run", finished.recipe, "--runs", finished.runs).code == 0
    other = finished.recipe.with_name("other.yaml")
    shutil.copy(finished.recipe, other)
    said = tmkd("run", other, "--runs", finished.runs)
    assert said.code == 1
    assert f"{finished.run} belongs to the recipe {finished.recipe}" in said.err
    finished.recipe.unlink()  # moved: the run goes with it
    assert tmkd("run", other, "--runs", finished.runs).code == 0


def test_two_processes_at_once_are_refused(finished: World, tmkd: Call) -> None:
    with (finished.run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 1
    assert f"{finished.run} is in use by another tmkd process" in said.err
    assert tmkd("run", finished.recipe, "--runs", finished.runs).code == 0


def test_clean_removes_stale_artifacts_and_those_of_no_step(finished: World, tmkd: Call) -> None:
    before = snapshot(finished.run)
    assert "0 artifacts removed" in tmkd("clean", finished.recipe, "--runs", finished.runs).err
    tiny.change(finished.recipe, "rows.tkd.extra", True)  # extras stay
    assert "0 artifacts removed" in tmkd("clean", finished.recipe, "--runs", finished.runs).err
    assert snapshot(finished.run) == before
    tiny.change(finished.recipe, "rows.tkd", None)
    half = finished.run / "students" / "0123456789abcdef"
    half.mkdir()
    (half / ".key").write_text("of a run that was killed")
    said = tmkd("clean", finished.recipe, "--runs", finished.runs)
    assert "5 artifacts removed" in said.err  # tkd's two students, its predictions, the report, and the unfinished one
    assert not half.exists()
    assert {kind for name, (kind, _) in states(tmkd, finished).items() if name != "evaluate/report"} == {"done"}


def test_clean_keeps_models_made_of_packages_that_are_used(finished: World, tmkd: Call) -> None:
    wheels = finished.recipe.parent / "wheels"
    wheels.mkdir()
    with ZipFile(wheels / "tiny_bert-1-py3-none-any.whl", "w") as wheel:
        for path in (finished.recipe.parent / "bert").iterdir():
            wheel.write(path, f"tiny_bert/{path.name}")
    tiny.change(finished.recipe, "pretrained", {"bert": {"package": "tiny-bert==1", "wheels": "wheels"}})
    assert {kind for kind, _ in states(tmkd, finished).values()} == {"done"}  # the same model in another form
    (made,) = (finished.run / "pretrained").iterdir()
    assert "0 artifacts removed" in tmkd("clean", finished.recipe, "--runs", finished.runs).err
    assert made.is_dir()
    tiny.change(finished.recipe, "pretrained", {"bert": {"folder": "bert"}})
    assert f"removed {made}\n1 artifacts removed" in tmkd("clean", finished.recipe, "--runs", finished.runs).err


def test_clean_keeps_students_while_the_best_teacher_is_unknown(finished: World, tmkd: Call) -> None:
    students = sorted((finished.run / "students").iterdir())
    shutil.rmtree(finished.run / "softlabels" / "toy" / "dev" / "t1")
    said = tmkd("clean", finished.recipe, "--runs", finished.runs)
    assert said.code == 0
    assert sorted((finished.run / "students").iterdir()) == students


def test_a_failed_export_is_told_below_the_table(finished: World, tmkd: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise TmkdError("the ONNX graph is not the student")

    monkeypatch.setattr("tmkd.export.onnx.export_bundle", fail)
    tiny.change(finished.recipe, "export", {"row": "tmkd"})
    tiny.change(finished.recipe, "serve", {"collect": "web"})
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 1
    assert any(line.startswith("tmkd ") for line in said.out.splitlines())  # the table
    assert "tmkd, bundle" not in said.out
    assert said.err.splitlines()[-1] == "error: the ONNX graph is not the student"
