"""Steps of the teachers: each is made, then scores its corpora (§3.1.1 step 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.teachers.teacher import Teacher


def teach_step(run: RunFolder, teacher: Teacher) -> Step:
    """Step that makes a teacher: fine-tuned, opened, or its scores read."""
    return Step(
        f"teach/{teacher.name}",
        "teach",
        run.teacher_folder(teacher.name),
        teacher.needs(run),
        teacher.settings(run),
        lambda folder: teacher.make(run, folder),
        teacher.outside(run),
        estimate=lambda sizes: teacher.making(run, sizes),
    )


def score_step(run: RunFolder, teacher: Teacher, corpus: str) -> Step:
    """Step that stores a teacher's logits for a corpus; shards that are scored already are kept."""
    name = teacher.name

    def make(folder: Path) -> dict[str, Any]:
        digest = run.column(corpus, name).digest
        return teacher.score(run, corpus, folder, digest) | _accuracy(run, corpus, name)

    needs = {f"teach/{name}": run.teacher_folder(name), f"collect/{corpus}": run.corpus_artifact(corpus)}
    settings = {"precision": run.recipe.precision, "missing": teacher.spec.missing}
    return Step(
        f"score/{corpus}/{name}",
        "score",
        run.soft_folder(corpus, name),
        needs,
        settings,
        make,
        keep=("*.safetensors",),
        estimate=lambda sizes: teacher.scoring(run, sizes[corpus]),
    )


def _accuracy(run: RunFolder, corpus: str, teacher: str) -> dict[str, float]:
    """Accuracy of a teacher on the pairs of a dev set that it has scored: `best` goes by it. Empty elsewhere."""
    if not corpus.endswith("/dev"):
        return {}
    from tmkd.data.softlabels import SoftLabels
    from tmkd.metrics.quality import accuracy

    pairs = run.corpus(corpus)
    soft = SoftLabels.load(pairs, [run.column(corpus, teacher)])
    if not soft.complete.any():
        return {}
    return {"accuracy": accuracy(soft.logits[soft.complete, 0], pairs.label_array()[soft.complete])}
