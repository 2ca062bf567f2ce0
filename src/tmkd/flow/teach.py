"""Steps of the teachers: each is made, then scores its corpora (§3.1.1 step 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tmkd.errors import TmkdError
from tmkd.flow.health import with_loss_sign
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
        lambda folder: with_loss_sign(teacher.make(run, folder)),
        teacher.outside(run),
        trains=teacher.spec.base is not None,
        estimate=lambda sizes: teacher.making(run, sizes),
    )


def score_step(run: RunFolder, teacher: Teacher, corpus: str) -> Step:
    """Step that stores a teacher's logits for a corpus; shards that are scored already are kept."""
    name = teacher.name

    def make(folder: Path) -> dict[str, Any]:
        digest = run.column(corpus, name).digest
        return teacher.score(run, corpus, folder, digest) | _judged(run, corpus, teacher)

    needs = {f"teach/{name}": run.teacher_folder(name), f"collect/{corpus}": run.corpus_artifact(corpus)}
    settings: dict[str, Any] = {"precision": run.recipe.precision, "missing": teacher.spec.missing}
    if teacher.spec.first is not None and corpus in run.recipe.collect:
        settings["first"] = teacher.spec.first
    return Step(
        f"score/{corpus}/{name}",
        "score",
        run.soft_folder(corpus, name),
        needs,
        settings,
        make,
        shards=("*.safetensors",),
        estimate=lambda sizes: teacher.scoring(run, min(sizes[corpus], settings.get("first", sizes[corpus]))),
    )


def _judged(run: RunFolder, corpus: str, teacher: Teacher) -> dict[str, Any]:
    """Accuracy and AUC of a teacher on the pairs of a dev set that it has scored, and warnings; empty elsewhere.

    `best` goes by the accuracy. Raises: TmkdError when its scores separate nothing or go against the labels, unless its
    entry says `force`.
    """
    if not corpus.endswith("/dev"):
        return {}
    from tmkd.data.softlabels import SoftLabels
    from tmkd.metrics.learned import class_signs, separation
    from tmkd.metrics.quality import accuracy, softmax

    pairs, name = run.corpus(corpus), teacher.name
    soft = SoftLabels.load(pairs, [run.column(corpus, name)])
    labels = pairs.label_array()
    known = soft.complete & (labels >= 0)
    if not known.any():
        return {}
    shares, golden = softmax(soft.logits[known, 0]), labels[known]
    found = separation(shares, golden)
    if found is not None and found.fault is not None and not teacher.spec.force:
        raise TmkdError(
            f"teacher {name}: on {found.pairs} labelled pairs of {corpus} {found.fault}; "
            f"or go on with it all the same: teachers.{name}.force: true"
        )
    facts: dict[str, Any] = {"accuracy": accuracy(shares, golden)}
    if found is not None:
        facts["auc"] = found.auc
    signs = class_signs(shares, golden, pairs.labels.names)
    return facts | ({"warnings": signs} if signs else {})
