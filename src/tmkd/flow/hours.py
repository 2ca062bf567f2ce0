"""Rough time of the work that is left, told before it begins."""

from __future__ import annotations

from itertools import chain

from tmkd.data.pairs import Corpus
from tmkd.errors import TmkdError
from tmkd.flow.check_files import asked_questions, read_files
from tmkd.flow.plan import steps
from tmkd.flow.precompute import ASKED
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.progress import clock
from tmkd.train.estimate import Estimate, Sizes


def hours_left(run: RunFolder) -> str:
    """One line: time that the missing and stale steps will take, in all and by verb; empty where none is left.

    Raises: TmkdError for a faulty file, where the sizes of corpora are not known yet.
    """
    left = [step for step in steps(run) if step.state().kind != "done"]
    if not left:
        return ""
    sizes = _sizes(run)
    return by_verb([(step, step.estimate(sizes)) for step in left])


def by_verb(estimates: list[tuple[Step, Estimate]]) -> str:
    """One line: the seconds of some steps in all and by verb."""
    seconds: dict[str, float] = {}
    for step, estimate in estimates:
        seconds[step.verb] = seconds.get(step.verb, 0) + estimate.seconds
    each = ", ".join(f"{verb} {clock(of_verb)}" for verb, of_verb in seconds.items())
    return f"{len(estimates)} steps left, very roughly {clock(sum(seconds.values()))}: {each}"


def _sizes(run: RunFolder) -> Sizes:
    """Pairs of each corpus: counted where all are collected, else at most as many as the files say."""
    splits = chain.from_iterable(
        (f"{task}/{split}" for split in ("train", "dev", *entry.tests)) for task, entry in run.recipe.tasks.items()
    )
    try:
        sizes = {name: len(Corpus.open(run.corpus_folder(name))) for name in (*splits, *run.recipe.collect)}
    except TmkdError:
        return read_files(run).sizes
    if run.recipe.serve is not None:
        sizes[ASKED] = asked_questions(run, run.recipe.serve)
    return sizes
