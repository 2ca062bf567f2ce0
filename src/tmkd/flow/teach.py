"""Steps of the teachers: each is fine-tuned, opened or read, then scores every corpus (§3.1.1 step 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tmkd.flow.run_folder import RunFolder, demanded_precision
from tmkd.flow.step import Step
from tmkd.recipe.schema import TeacherSpec

# What a teacher's weights do not depend on.
_BESIDE: Any = {"extra": True, "scores": True, "missing": True, "fit": {"checkpoint_steps", "tensorboard"}}


def teach_step(run: RunFolder, name: str, teacher: TeacherSpec) -> Step:
    """Step that fine-tunes a teacher, opens a ready-made one, or stores scores made elsewhere."""

    def make(folder: Path, work: Path) -> dict[str, Any]:
        if teacher.file is not None:
            from tmkd.teachers.imported import store_scores

            return dict(store_scores(teacher, run.labels(teacher.task), folder, run.base))
        if teacher.model is not None:
            run.load_teacher(name, "cpu", "fp32")
            return {"ready_made": teacher.model}
        from tmkd.teachers.finetune import finetune

        train, dev = (run.corpus(f"{teacher.task}/{split}") for split in ("train", "dev"))
        base = run.pretrained(str(teacher.base)).path
        return finetune(name, teacher, base, train, dev, folder, work, *run.hardware())

    needs = {f"collect/{teacher.task}": run.corpus_artifact(teacher.task)} if teacher.base is not None else {}
    settings = teacher.model_dump(mode="json", exclude=_BESIDE)
    if teacher.file is not None:
        outside = run.digests((teacher.file,))
    else:
        model = teacher.base or str(teacher.model)
        outside = {f"pretrained {model}": run.pretrained(model).digest}
        # Also of a ready-made one: a teacher's digest names the scores it gave, which depend on the precision too.
        settings |= demanded_precision(run)
    return Step(f"teach/{name}", "teach", run.teacher_folder(name), needs, settings, make, outside)


def score_step(run: RunFolder, name: str, corpus: str) -> Step:
    """Step that stores a teacher's logits for a corpus; shards that are scored already are kept."""

    teacher = run.recipe.teachers[name]

    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.progress import progress
        from tmkd.teachers.score import price_of_precision, prune, score_shards, unscored

        digest, pairs = run.column(corpus, name).digest, run.corpus(corpus)
        if teacher.file is not None:
            from tmkd.teachers.imported import match_scores

            every = range(len(pairs.shards))
            gaps = match_scores(name, run.teacher_folder(name), pairs, every, folder, digest, teacher.missing)
            prune(folder, pairs, digest)
            return {"pairs": len(pairs), "missing": gaps, **_accuracy(run, corpus, name)}
        todo, total = unscored(pairs, folder, digest), 0
        device, precision = run.hardware()
        price: dict[str, float] = {}
        if todo:
            network = run.load_teacher(name, device, precision)
            with progress(f"score {name} × {corpus}", "pairs") as report:
                total = score_shards(network, pairs, todo, folder, digest, report)
            price = price_of_precision(network, pairs)
        prune(folder, pairs, digest)
        facts = {"pairs": len(pairs), "scored_now": total, "precision": precision, **price}
        return facts | _accuracy(run, corpus, name)

    needs = {f"teach/{name}": run.teacher_folder(name), f"collect/{corpus}": run.corpus_artifact(corpus)}
    settings = {"precision": run.recipe.precision, "missing": teacher.missing}
    folder = run.soft_folder(corpus, name)
    return Step(f"score/{corpus}/{name}", "score", folder, needs, settings, make, keep=("*.safetensors",))


def _accuracy(run: RunFolder, corpus: str, teacher: str) -> dict[str, float]:
    """A teacher's accuracy on the pairs of a dev set that it has scored, by which `best` is chosen; else nothing."""
    if not corpus.endswith("/dev"):
        return {}
    from tmkd.data.softlabels import SoftLabels
    from tmkd.metrics.quality import accuracy

    pairs = run.corpus(corpus)
    soft = SoftLabels.load(pairs, [run.column(corpus, teacher)])
    if not soft.complete.any():
        return {}
    return {"accuracy": accuracy(soft.logits[soft.complete, 0], pairs.label_array()[soft.complete])}
