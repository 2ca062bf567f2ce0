"""The whole flow through the command line: done, resumed, grown, changed, damaged."""

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

import pytest

import tiny
from tiny import Call, Said, World
from tmkd.store import read_manifest


def steps_made(said: Said) -> list[str]:
    """The steps a command made, in order, as it told them."""
    made, title = [], ""
    for line in said.err.splitlines():
        if (
            line.startswith(("index/", "questions/", "collect/", "teach/", "score/", "distill/", "evaluate/"))
            and ": step " not in line
        ):
            title = line.partition(" (")[0]
        elif line.startswith("  done in"):
            made.append(title)
    assert f"{len(made)} steps done now" in said.err
    return made


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of a run with its size and time of change, those aside that every command may touch."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".lock", "recipe.yaml")
    }


def states(tmkd: Call, world: World, *words: object) -> dict[str, tuple[str, str]]:
    """Step → (state, why) as `tmkd show` says."""
    said = tmkd("show", world.recipe, "--runs", world.runs, "--json", *words)
    assert said.code == 0, said.err
    return {one["step"]: (one["state"], one["why"]) for one in json.loads(said.out)}


def test_one_command_makes_teachers_students_and_report(finished_world: World) -> None:
    report = json.loads((finished_world.run / "report.json").read_text())
    rows = {row["row"]: row for row in report["rows"]}
    assert list(rows) == [*tiny.TEACHERS, "ensemble", *tiny.ROWS]
    assert all(rows[name]["accuracy"] > 0.8 for name in tiny.TEACHERS)
    assert max(rows[name]["accuracy"] for name in tiny.ROWS) > 0.8
    for row in rows.values():
        assert row["split"] == "test"
        assert row["pairs_per_second"] > 0
        assert row["seconds_to_make"] > 0
        assert row["mrr"] is not None
    members = 2
    assert rows["m-o-m"]["parameters"] == members * rows["1-o-1"]["parameters"]
    assert rows["ensemble"]["bytes"] == sum(rows[name]["bytes"] for name in tiny.TEACHERS)
    table = (finished_world.recipe.parent / "stdout").read_text()
    assert [line.split()[0] for line in table.splitlines()] == ["row", *rows]
    assert "tmkd" in (finished_world.run / "report.html").read_text()


def test_students_are_made_once_and_shared(finished_world: World) -> None:
    # bert-3, 1-o-1, 1avg-o-1, two of m-o-m (one is 1-o-1's), two stages each of tkd and tmkd, mkd
    assert len(list((finished_world.run / "students").iterdir())) == 9


def test_no_scratch_is_left(finished_world: World) -> None:
    hidden = [path for path in finished_world.run.rglob(".*") if path.parent.name != ".words"]
    assert {path.name for path in hidden} == {".lock", ".words", ".shards.jsonl", ".rules"}


def test_a_second_run_finds_all_done(finished: World, tmkd: Call) -> None:
    before = snapshot(finished.run)
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0
    assert steps_made(said) == []
    assert "33 were done already" in said.err
    assert said.out == (finished.recipe.parent / "stdout").read_text()
    assert snapshot(finished.run) == before


def test_the_verbs_one_after_the_other_do_what_run_does(world: World, finished_world: World, tmkd: Call) -> None:
    for verb in ("collect", "teach", "score", "distill", "evaluate"):
        said = tmkd(verb, world.recipe, "--runs", world.runs)
        assert said.code == 0, said.err
        kinds = {"index", "questions", "collect"} if verb == "collect" else {verb}
        assert {step.partition("/")[0] for step in steps_made(said)} == kinds
        if verb == "score":
            assert "web × judge: logits" in said.err
            assert "toy/dev × t1: accuracy" in said.err
    assert tiny.comparable(world.run / "report.json") == tiny.comparable(finished_world.run / "report.json")


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
    assert "33 steps done now, 0 were done already" in done.stderr
    assert tiny.comparable(world.run / "report.json") == tiny.comparable(finished_world.run / "report.json")


def test_an_added_teacher_is_the_only_one_that_scores(finished: World, tmkd: Call) -> None:
    before = snapshot(finished.run / "softlabels")
    teacher = {"task": "toy", "base": "bert", "max_length": 48, "seed": 3, "fit": {**tiny.FIT, "epochs": 1}}
    tiny.change(finished.recipe, "teachers.t3", teacher)
    assert steps_made(tmkd("teach", finished.recipe, "--runs", finished.runs)) == ["teach/t3"]
    said = tmkd("score", finished.recipe, "--runs", finished.runs)
    assert steps_made(said) == ["score/toy/train/t3", "score/toy/dev/t3", "score/web/t3"]
    after = snapshot(finished.run / "softlabels")
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[-2] for name in set(after) - set(before)} == {"t3"}


def test_grown_questions_leave_tasks_and_teachers_alone(finished: World, tmkd: Call) -> None:
    with (finished.data / "questions.txt").open("a") as file:
        file.write("is the clock old\n")
    tiny.change(finished.recipe, "teachers.judge.missing", "drop")
    for row in ("tkd", "bert-3", "1-o-1", "1avg-o-1", "m-o-m", "mkd"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert steps_made(said) == [
        "questions/web",
        "collect/web",
        "score/web/t1",
        "score/web/t2",
        "score/web/judge",
        "distill/toy/tmkd/1/stage 1",
        "distill/toy/tmkd/1/stage 2",
        "evaluate/toy/tmkd",
        "evaluate/report",
    ]
    manifest = read_manifest(finished.run / "softlabels" / "web" / "judge")
    assert manifest is not None
    assert manifest.facts["missing"] > 0


def test_a_changed_alpha_makes_only_its_stage_anew(finished: World, tmkd: Call) -> None:
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--set", "rows.tmkd.stages.1.alpha=0.9")
    assert steps_made(said) == ["distill/toy/tmkd/1/stage 2", "evaluate/toy/tmkd", "evaluate/report"]
    back = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert steps_made(back) == ["evaluate/report"]  # the other student is still there


def test_an_added_seed_trains_only_its_own_students(finished: World, tmkd: Call) -> None:
    for row in ("tkd", "1-o-1", "1avg-o-1", "m-o-m", "mkd", "tmkd"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--set", "seeds=[1, 2]")
    assert steps_made(said) == ["distill/toy/bert-3/2", "evaluate/toy/bert-3", "evaluate/report"]
    rows = json.loads((finished.run / "report.json").read_text())["rows"]
    assert [row["seed"] for row in rows if row["row"] == "bert-3"] == [1, 2]


def test_another_precision_makes_all_anew_that_was_made_in_it(finished: World, tmkd: Call) -> None:
    changed = states(tmkd, finished, "--set", "precision=bf16")
    assert changed["teach/t1"] == ("stale", "recipe changed: precision")
    assert changed["distill/toy/bert-3/1"] == ("stale", "recipe changed: precision")
    assert changed["evaluate/toy/teacher t1"][0] == "stale"
    assert (changed["teach/judge"], changed["collect/web"]) == (("done", ""), ("done", ""))


def test_stored_scores_of_another_precision_are_not_taken(finished: World, tmkd: Call) -> None:
    shutil.copytree(finished.run / "teachers" / "toy" / "t1", finished.recipe.parent / "ready")
    (finished.recipe.parent / "ready" / "manifest.json").unlink()
    tiny.change(finished.recipe, "teachers", {"ready": {"task": "toy", "model": "ready", "max_length": 48}})
    tiny.change(finished.recipe, "rows", None)
    folder = finished.run / "softlabels" / "web" / "ready"
    found = []
    for precision in ("auto", "fp32", "bf16"):
        for verb in ("teach", "score"):
            said = tmkd(verb, finished.recipe, "--runs", finished.runs, "--set", f"precision={precision}")
            assert said.code == 0, said.err
        assert "done in" in said.err
        manifest = read_manifest(folder)
        assert manifest is not None
        assert manifest.facts["scored_now"] == manifest.facts["pairs"] > 0
        found.append(next(folder.glob("*.safetensors")))
    assert [path.exists() for path in found] == [False, False, True]  # one file at a time: the others are pruned


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


def test_show_says_why_a_step_is_stale(finished: World, tmkd: Call) -> None:
    assert {kind for kind, _ in states(tmkd, finished).values()} == {"done"}
    changed = states(tmkd, finished, "--set", "teachers.t1.fit.epochs=9")
    assert changed["teach/t1"] == ("stale", "recipe changed: fit.epochs")
    assert changed["score/toy/dev/t1"] == ("stale", "needs teach/t1")
    assert changed["teach/t2"] == ("done", "")
    assert changed["evaluate/report"][0] == "stale"
    with (finished.data / "train.tsv").open("a") as file:
        file.write("what is new\tthe clock is new .\tyes\n")
    (finished.data / "documents.jsonl").write_text((finished.data / "documents.jsonl").read_text() + "\n")
    edited = states(tmkd, finished)
    assert edited["collect/toy"] == ("stale", "input changed: file train.tsv")
    assert edited["teach/t1"] == ("stale", "needs collect/toy")
    shown = tmkd("show", finished.recipe, "--runs", finished.runs)
    assert "input changed: file train.tsv" in shown.out


def test_show_before_anything_is_done(world: World, tmkd: Call) -> None:
    said = states(tmkd, world)
    assert said["collect/toy"] == ("missing", "")
    assert said["teach/t1"] == ("missing", "waits for collect/toy")
    assert said["distill/toy/1-o-1/1"] == ("missing", "waits for score/toy/dev/t1")
    assert {kind for kind, _ in said.values()} == {"missing"}
    assert not world.runs.exists()


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


def test_extras_are_made_only_when_asked_for(finished: World, tmkd: Call) -> None:
    teacher = {
        "task": "toy",
        "base": "bert",
        "max_length": 48,
        "seed": 3,
        "fit": {**tiny.FIT, "epochs": 1},
        "extra": True,
    }
    tiny.change(finished.recipe, "teachers.t3", teacher)
    tiny.change(finished.recipe, "rows.tkd.extra", True)
    assert steps_made(tmkd("run", finished.recipe, "--runs", finished.runs)) == ["evaluate/report"]
    assert "tkd" not in (finished.run / "report.json").read_text()
    for row in ("1avg-o-1", "m-o-m", "mkd", "tmkd"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    made = steps_made(tmkd("run", finished.recipe, "--runs", finished.runs, "--all"))
    assert made[0] == "teach/t3"
    assert "evaluate/toy/teacher t3" in made
    rows = json.loads((finished.run / "report.json").read_text())["rows"]
    assert [row["row"] for row in rows] == ["t1", "t2", "t3", "ensemble", "bert-3", "1-o-1", "tkd"]


def test_clean_removes_what_is_stale_and_what_nobody_makes(finished: World, tmkd: Call) -> None:
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


def test_clean_keeps_students_while_the_best_teacher_is_unknown(finished: World, tmkd: Call) -> None:
    students = sorted((finished.run / "students").iterdir())
    shutil.rmtree(finished.run / "softlabels" / "toy" / "dev" / "t1")
    said = tmkd("clean", finished.recipe, "--runs", finished.runs)
    assert said.code == 0
    assert sorted((finished.run / "students").iterdir()) == students


def test_a_recipe_without_rows_measures_its_teachers(finished: World, tmkd: Call) -> None:
    tiny.change(finished.recipe, "rows", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    assert [line.split()[0] for line in said.out.splitlines()] == ["row", "t1", "t2", "ensemble"]
