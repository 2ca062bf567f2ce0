"""Places in a run folder that `tmkd serve RECIPE` opens: bundle, index, look-up store; no teacher and no base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from tmkd.errors import TmkdError, UsageError
from tmkd.flow.run_folder import RunFolder
from tmkd.recipe.serving import PrecisionSpec
from tmkd.store import read_manifest

if TYPE_CHECKING:
    from tmkd.data.softlabels import TeacherColumn
    from tmkd.serve.served import Places

_EXAMPLES = 100  # questions that the page takes some of


def places_of(run: RunFolder) -> Places:
    """Places of what a recipe's run has to serve.

    Raises: UsageError when the recipe has no part on serving; TmkdError when the bundle or the index is not made yet.
    """
    from tmkd.serve.answer import AnswerSettings
    from tmkd.serve.served import Places

    spec = run.recipe.serve
    if spec is None:
        raise UsageError(
            f"{run.recipe.name} does not say what to serve; add, say: serve: {{collect: web}}, or serve a bundle alone"
        )
    bundle, index = run.bundle_folder, run.index_folder(spec.collect)
    for folder, verb in ((index, "collect"), (bundle, "export")):
        if read_manifest(folder) is None:
            raise TmkdError(f"{folder}: not made yet; run tmkd {verb} first")
    run.bring(bundle, index, run.lookup_folder, run.questions_folder(spec.collect))
    threshold = None if isinstance(spec.threshold, PrecisionSpec) else spec.threshold
    settings = AnswerSettings(spec.top, spec.keep, threshold, spec.deadline_ms)
    examples = _examples(run.questions_folder(spec.collect))
    corpus, teachers = _scored(run, spec.collect)
    return Places(bundle, index, str(run.lookup_folder), settings, examples, corpus, teachers)


def _scored(run: RunFolder, corpus: str) -> tuple[Path | None, tuple[TeacherColumn, ...]]:
    """Folder of a stage-1 corpus and the teachers that have scored it; none before they have, or in object storage."""
    if run.remote is not None:  # they may be larger than all that is served
        return None, ()
    try:
        return run.corpus_folder(corpus), tuple(run.scored(corpus))
    except TmkdError:
        return None, ()


def _examples(folder: Path) -> tuple[str, ...]:
    """The first questions of a corpus; none where there are no questions."""
    from tmkd.collect.questions import QUESTIONS

    if read_manifest(folder) is None:
        return ()
    first = next(pq.ParquetFile(folder / QUESTIONS).iter_batches(_EXAMPLES, columns=["question"]), None)
    return () if first is None else tuple(first["question"].to_pylist())
