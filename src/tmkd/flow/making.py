"""Making of a step; in object storage: what it needs is brought first, and what it makes is published."""

from __future__ import annotations

from tmkd.flow.rules import rules_of
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import KEPT_UNDER, Step
from tmkd.store import Manifest


def make(run: RunFolder, step: Step) -> Manifest:
    """Make a step's artifact. Raises: TmkdError from the step itself, or when object storage fails or the lock is lost.

    Where the publication fails, the finished artifact stays in the cache, and the next run publishes it.
    """
    if run.remote is None:
        return step.execute()
    number = rules_of(step.name).number
    try:
        run.bring(*step.needs.values(), *step.reads)
        with run.remote.making(step.folder, step.shards, {KEPT_UNDER: str(number)} if number else {}):
            return step.execute()
    finally:
        run.remote.release()
