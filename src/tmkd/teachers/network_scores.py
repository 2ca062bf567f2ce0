"""Teachers with a network: the settings that decide their logits, and how they score a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmkd.recipe.schema import TeacherSpec
from tmkd.store import read_manifest
from tmkd.teachers.teacher import Facts, Run, Teacher
from tmkd.train.estimate import Estimate, scoring_seconds

if TYPE_CHECKING:
    from tmkd.teachers.network import Network

# Settings of a teacher that its weights do not depend on.
_BESIDE_WEIGHTS: Mapping[str, Any] = {
    "extra": True,
    "force": True,
    "scores": True,
    "first": True,
    "named": True,
    "missing": True,
    "fit": {"checkpoint_steps", "tensorboard"},
}
BYTES_PER_LOGITS = 8  # of a pair of two classes


def settings_of(spec: TeacherSpec) -> dict[str, Any]:
    """Settings of a teacher that decide its logits, of imported ones too."""
    exclude: Any = _BESIDE_WEIGHTS  # pydantic's own type of it is not public
    settings = spec.model_dump(mode="json", exclude=exclude)
    if settings["fresh_pooler"] == "auto":  # of a teacher that is not trained here
        settings["fresh_pooler"] = False
    return settings


def score_by_network(teacher: Teacher, run: Run, corpus: str, folder: Path, digest: str) -> Facts:
    """Score the pairs of a corpus that have no logits of this teacher yet, here or in another stage-1 corpus."""
    from tmkd.progress import progress
    from tmkd.teachers.score import Opener, copy_scores, remove_stale, score_shards, unscored

    pairs = run.corpus(corpus)
    first = teacher.spec.first if corpus in run.recipe.collect else None
    others = [run.soft_folder(other, teacher.name) for other in run.recipe.collect if other != corpus]
    todo = copy_scores(pairs, unscored(pairs, folder, digest, first), folder, others, digest, first)
    facts: Facts = {"pairs": len(pairs), "scored_now": 0}
    if todo:
        folders = dict.fromkeys((teacher.folder(run), run.teacher_folder(teacher.name)))
        reads = tuple(one for one in folders if read_manifest(one) is not None)  # a pretrained folder is no artifact
        opener = Opener(partial(_open, teacher, run), run.recipe.device != "cpu", reads)
        with progress(f"score {teacher.name} × {corpus}", "pairs") as report:
            facts |= score_shards(opener, pairs, todo, folder, digest, run.engine, report, first)
    else:
        facts["precision"] = run.hardware().precision
    remove_stale(folder, pairs, digest)
    return facts | ({"missing": len(pairs) - first} if first is not None and first < len(pairs) else {})


def _open(teacher: Teacher, run: Run) -> Network:
    return teacher.open(run, run.hardware())


def scoring_by_network(run: Run, pretrained: str, pairs: int) -> Estimate:
    """Estimate of scoring pairs with all layers of a pretrained model."""
    seconds = scoring_seconds(run.pretrained(pretrained).path, None, pairs)
    return Estimate(pairs, seconds, pairs * BYTES_PER_LOGITS)
