"""Steps side by side: the same artifacts, each once all it needs is there; failures, kills and interruptions."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import pytest

import tiny
from tiny import World
from tmkd.errors import TmkdError
from tmkd.flow.plan import states
from tmkd.flow.side_by_side import StepFailed, work_side_by_side
from tmkd.flow.step import Step
from tmkd.machine import cores
from tmkd.store import Manifest, State, read_manifest

FIRST = ("collect", "teach")


class Events:
    """What began and ended, in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def begun(self, step: Step, now: State) -> None:
        self.lines.append(("begun", step.title))

    def ended(self, step: Step, manifest: Manifest) -> None:
        self.lines.append(("ended", step.title))

    def place(self, what: str, title: str) -> int:
        return self.lines.index((what, title))


def test_steps_run_beside_each_other_and_after_what_they_need(
    world: World, finished_world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    run, events = tiny.opened(world), Events()
    work_side_by_side(run, FIRST, 2, 1, events.begun, events.ended)
    begun = [title for what, title in events.lines if what == "begun"]
    assert sorted(begun) == sorted(title for what, title in events.lines if what == "ended")
    assert len(begun) == len({*begun}) == 7
    both = [events.place(what, name) for what in ("begun", "ended") for name in ("teach/t1", "teach/t2")]
    assert max(both[:2]) < min(both[2:])
    for needed, by in (("collect/toy", "teach/t1"), ("index/web", "collect/web"), ("questions/web", "collect/web")):
        assert events.place("ended", needed) < events.place("begun", by)
    others = {step.title: step.folder for step, _, _ in states(tiny.opened(finished_world))}
    for step, now, _ in states(run):
        if step.verb in FIRST:
            assert now.kind == "done"
            here, there = read_manifest(step.folder), read_manifest(others[step.title])
            assert here is not None
            assert there is not None
            assert here.files == there.files
    told = capfd.readouterr().err.splitlines()
    assert [line for line in told if line.startswith("teach t1: step ")]
    assert not [line for line in told if line.count(": step ") > 1]
    assert not multiprocessing.active_children()


def test_after_a_failure_nothing_begins_and_what_runs_is_made(world: World) -> None:
    scores = world.data / "scores.tsv"
    text = scores.read_text()
    scores.write_text(text.replace("0.9", "nan", 1))
    tiny.change(world.recipe, "teachers", dict(reversed(tiny.recipe()["teachers"].items())))  # judge, t2, t1
    run, events = tiny.opened(world), Events()
    work_side_by_side(run, ("collect",), 1, 1, events.begun, events.ended)
    with pytest.raises(StepFailed, match="teach/judge") as failure:
        work_side_by_side(run, ("teach",), 2, 1, events.begun, events.ended)
    assert isinstance(failure.value.__cause__, TmkdError)
    assert "scores.tsv" in str(failure.value.__cause__)
    assert events.lines[-3:] == [("begun", "teach/judge"), ("begun", "teach/t2"), ("ended", "teach/t2")]
    scores.write_text(text)
    run, events = tiny.opened(world), Events()
    work_side_by_side(run, ("teach",), 2, 1, events.begun, events.ended)
    assert {title for _, title in events.lines} == {"teach/judge", "teach/t1"}


def test_a_process_that_is_killed_is_told_and_an_interruption_ends_all(world: World) -> None:
    run, events = tiny.opened(world), Events()
    work_side_by_side(run, ("collect",), 1, 1, events.begun, events.ended)

    def kill() -> None:
        while not (found := [one for one in multiprocessing.active_children() if one.name == "teach/t1"]):
            time.sleep(0.01)
        assert found[0].pid is not None
        os.kill(found[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StepFailed) as failure:
        work_side_by_side(run, ("teach",), 1, 1, events.begun, events.ended)
    killer.join()
    told = "teach/t1: its process was killed (often: out of memory); run the same command again, it resumes"
    assert str(failure.value.__cause__) == told

    def interrupted(step: Step, manifest: Manifest) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_side_by_side(run, ("teach",), 2, 1, events.begun, interrupted)
    assert not multiprocessing.active_children()


def test_a_step_of_another_verb_that_is_not_done_is_named(world: World) -> None:
    events = Events()
    with pytest.raises(TmkdError, match=r"teach/t1: waits for collect/toy|teach/t1: collect/toy is not done"):
        work_side_by_side(tiny.opened(world), ("teach",), 1, 1, events.begun, events.ended)


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="two jobs need two cores")
def test_a_run_with_two_jobs_ends_with_the_same_report(world: World, finished_world: World) -> None:
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    made = done.stderr.count(": done in ")
    assert f"{made} steps done now, 0 were done already" in done.stderr
    assert tiny.comparable(world.run / "report.json") == tiny.comparable(finished_world.run / "report.json")
    again = tiny.tmkd("run", world.recipe, "--runs", world.runs, "--jobs", 2)
    assert "\n0 steps done now, " in f"\n{again.stderr}"
    assert again.stdout == done.stdout


def wait_for(step: str, log: Path) -> None:
    """Wait until a run's log names a step, five minutes at most."""
    for _ in range(3000):
        if step in log.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(f"{step} has not begun: {log.read_text()}")


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="two jobs need two cores")
def test_a_run_with_two_jobs_that_is_killed_goes_on(world: World, finished_world: World, tmp_path: Path) -> None:
    words = tiny.command("run", world.recipe, "--runs", world.runs, "--jobs", 2)
    for kind, step in ((signal.SIGKILL, "score/toy/"), (signal.SIGINT, "distill/toy/")):
        with (tmp_path / "err").open("w") as err:
            started = subprocess.Popen(
                words, env=tiny.environment(), stdout=err, stderr=err, start_new_session=True,
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored below a shell's `command &`
            )  # fmt: skip
            wait_for(step, tmp_path / "err")
            os.killpg(started.pid, kind) if kind == signal.SIGINT else started.kill()
            started.wait()
        time.sleep(1.5)
    assert "interrupted; the same command goes on from here" in (tmp_path / "err").read_text()
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    assert tiny.comparable(world.run / "report.json") == tiny.comparable(finished_world.run / "report.json")
