"""Steps that do not depend on each other, side by side: each in a process of its own, with its share of the cores."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Container
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from tmkd.errors import TmkdError
from tmkd.flow.making import make
from tmkd.flow.plan import states, steps
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.machine import cores, having
from tmkd.process import end_with, tune_process
from tmkd.store import Manifest, State, sealed

_Now = tuple[Step, State]
_TOLD = (TmkdError, OSError, ModuleNotFoundError)  # failures that the command line puts into words


class StepFailed(Exception):
    """Failure of a step; its cause is the step's own error."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.title)
        self.step = step


@dataclass(frozen=True, slots=True)
class _Job:
    step: Step
    process: SpawnProcess
    failure: Connection
    lines: threading.Thread


def work_side_by_side(
    run: RunFolder,
    verbs: Container[str],
    jobs: int,
    share: int,
    begun: Callable[[Step, State], None],
    ended: Callable[[Step, Manifest], None],
) -> None:
    """Make all missing or stale steps of some verbs, at most `jobs` at once, each with `share` cores.

    A step begins once all that it needs is done; one that measures time has the machine for itself. After a failure no
    further step begins, and those that run are made to their end. `begun` and `ended` are called for each step made.
    Raises: StepFailed from the first failure; TmkdError when a step waits for one of another verb.
    """
    running: dict[Path, _Job] = {}
    failed: StepFailed | None = None
    try:
        while True:
            startable, waits = _startable(run, verbs, running)
            for step, now in () if failed else startable:
                if len(running) == jobs or (step.alone and running):
                    break
                begun(step, now)
                running[step.folder] = _start(run, step, cores() if step.alone else share)
            if not running:
                break
            ready = wait([job.process.sentinel for job in running.values()])
            for job in [job for job in running.values() if job.process.sentinel in ready]:
                del running[job.step.folder]
                error = _end(job)
                if error is None:
                    ended(job.step, sealed(job.step.folder))
                elif failed is None:
                    failed = StepFailed(job.step)
                    failed.__cause__ = error
    finally:  # also after Ctrl-C
        for job in running.values():
            job.process.terminate()
        for job in running.values():
            _end(job)
    if failed is not None:
        raise failed
    if waits:
        raise TmkdError(waits)


def _startable(run: RunFolder, verbs: Container[str], running: Collection[Path]) -> tuple[list[_Now], str]:
    """Steps that can begin now, in the order of the plan, and why the first other one that does not run cannot.

    A step that measures time waits for all before it, and all after it wait for that.
    """
    found: list[_Now] = []
    undone, waits = False, ""
    for step, now, waiting in states(run):
        if step.verb not in verbs or now.kind == "done":
            continue
        needed = waiting or step.waits
        # One that is sealed has not ended before its process has.
        if not {*step.needs.values(), *step.reads}.isdisjoint(running):
            needed = needed or "a step that runs"
        if needed and not waits:
            waits = f"{step.title}: {needed} is not done; run that verb first, or all with: tmkd run RECIPE"
        if step.folder not in running and not needed and not (step.alone and undone):
            found.append((step, now))
        undone = True
        if step.alone:
            break
    return found, waits


def _start(run: RunFolder, step: Step, share: int) -> _Job:
    """Begin a step in a process of its own; a thread prints its lines, each whole."""
    context = get_context("spawn")
    failure, failed = context.Pipe(duplex=False)
    output, written = context.Pipe(duplex=False)
    process = context.Process(target=_make, args=(os.getpid(), run, step.folder, failed, written), name=step.title)
    with having(share):
        process.start()
    for end in (failed, written):
        end.close()
    lines = threading.Thread(target=_print_lines, args=(output,), daemon=True)
    lines.start()
    return _Job(step, process, failure, lines)


def _print_lines(output: Connection) -> None:
    with os.fdopen(os.dup(output.fileno()), encoding="utf-8", errors="replace") as lines:
        for line in lines:
            print(line, end="", file=sys.stderr, flush=True)


def _end(job: _Job) -> BaseException | None:
    """Wait for a step's process and its last lines; returns its error."""
    job.process.join()
    job.lines.join()
    if job.process.exitcode == 0:
        return None
    try:
        error: BaseException = job.failure.recv()
    except EOFError:
        return TmkdError(
            f"{job.step.title}: its process was killed (often: out of memory); run the same command again, it resumes"
        )
    return error


def _make(parent: int, run: RunFolder, folder: Path, failed: Connection, written: Connection) -> None:
    """Make the step of a folder, in the process that was begun for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent ends this process
    os.dup2(written.fileno(), sys.stderr.fileno())
    end_with(parent)
    tune_process()
    try:
        step = next(step for step in steps(run) if step.folder == folder and not step.waits)
        make(run, step)
    except Exception as error:
        if not isinstance(error, _TOLD):
            traceback.print_exc()
        failed.send(error)
        sys.exit(1)
