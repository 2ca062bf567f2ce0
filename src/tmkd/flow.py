"""Figure 1 as code: the ordered list of steps, what each needs and makes. Steps meet on disk; heavy imports wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tmkd.distill.rows import PlannedStage, chain_key, declared, members, stage_settings
from tmkd.exporting import exporting
from tmkd.gathering import gathering
from tmkd.recipe.schema import Teacher
from tmkd.runfolder import NotYet, RunFolder
from tmkd.steps import Step
from tmkd.store import digest_json

VERBS = ("collect", "teach", "score", "distill", "evaluate", "export", "frontier")
# What a teacher's weights do not depend on.
_BESIDE: Any = {"extra": True, "scores": True, "missing": True, "fit": {"checkpoint_steps", "tensorboard"}}


def steps(run: RunFolder) -> Iterator[Step]:
    """All steps in order. Later ones are planned when reached: `best` needs the dev scores of earlier ones.

    Raises: UsageError, before the first step, when a row names a teacher or corpus that is not there.
    """
    recipe = run.recipe
    for row, of, _ in run.placed_rows():
        members(recipe, row, recipe.rows[row], of, best=lambda names: names[0])
    yield from gathering(run)
    for name, teacher in recipe.teachers.items():
        yield _teach(run, name, teacher)
    for corpus in run.corpora():
        for name in declared(recipe, corpus):
            yield _score(run, name, corpus)
    yield from _distill(run)
    yield from _predict(run)
    yield _report(run)
    if recipe.export is not None:
        yield from exporting(run, recipe.export)


def _teach(run: RunFolder, name: str, teacher: Teacher) -> Step:
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
        settings |= _precision(run)
    return Step(f"teach/{name}", "teach", run.teacher_folder(name), needs, settings, make, outside)


def _precision(run: RunFolder) -> dict[str, str]:
    """The precision that a recipe demands, as a setting of what is made in it; `auto` demands none."""
    return {} if run.recipe.precision == "auto" else {"precision": run.recipe.precision}


def _score(run: RunFolder, name: str, corpus: str) -> Step:
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


def _distill(run: RunFolder) -> Iterator[Step]:
    planned: set[Path] = set()
    for row, task, seed in run.placed_rows():
        name = f"distill/{task}/{row}/{seed}"
        try:
            students = run.row_students(row, task, seed)
        except NotYet as unready:
            yield Step(name, "distill", run.folder / "students", {}, {}, _never, waits=str(unready))
            continue
        for place, (_, chain) in enumerate(students):
            for depth in range(1, len(chain) + 1):
                folder = run.student_folder(chain[:depth], seed)
                start = run.start_folder(chain[0])
                if chain[0].student.narrowed and start not in planned:
                    planned.add(start)
                    yield _narrow(run, f"distill/{task}/{row}/start", chain[0])
                if folder not in planned:
                    planned.add(folder)
                    member = f"/{place + 1}" if len(students) > 1 else ""
                    stage = f"/stage {depth}" if len(chain) > 1 else ""
                    yield _stage(run, name + member + stage, chain[:depth], task, seed)


def _narrow(run: RunFolder, name: str, first: PlannedStage) -> Step:
    student = first.student

    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.network.prune import write_narrow

        table = run.corpus(first.corpus).table()
        pairs = list(zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True))
        return write_narrow(run.pretrained(student.base).path, student, pairs, folder)

    needs = {f"collect/{first.corpus}": run.corpus_artifact(first.corpus)}
    settings = {"corpus": first.corpus, "student": student.model_dump(mode="json")}
    outside = {f"pretrained {student.base}": run.pretrained(student.base).digest}
    folder = run.start_folder(first)
    return Step(f"start/{folder.name}", "distill", folder, needs, settings, make, outside, shown=name)


def _stage(run: RunFolder, name: str, chain: tuple[PlannedStage, ...], task: str, seed: int) -> Step:
    planned, before, student = chain[-1], chain[:-1], chain[0].student
    start = run.student_folder(before, seed) if before else None

    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.data.softlabels import SoftLabels
        from tmkd.distill.stage import run_stage

        corpus = run.corpus(planned.corpus)
        columns = [run.column(planned.corpus, teacher) for teacher in planned.teachers]
        soft = SoftLabels.load(corpus, columns) if columns else None
        dev = run.corpus(f"{task}/dev") if "/" in planned.corpus else None
        base = run.start_folder(chain[0]) if student.narrowed else run.pretrained(student.base).path
        return run_stage(
            planned.stage, student, start, base, corpus, soft, dev, seed, folder, work, *run.hardware(), title=name
        )

    needs = {f"collect/{planned.corpus}": run.corpus_artifact(planned.corpus)}
    for teacher in planned.teachers:
        needs[f"score/{planned.corpus}/{teacher}"] = run.soft_folder(planned.corpus, teacher)
    if student.narrowed:
        needs["the narrowed start"] = run.start_folder(chain[0])
    if start is not None:
        needs["the stage before"] = start
    settings: dict[str, Any] = {
        "corpus": planned.corpus,
        "teachers": list(planned.teachers),
        "stage": stage_settings(planned.stage),
        "student": student.model_dump(mode="json"),
        "seed": seed,
        **_precision(run),
    }
    # A row's name may change without its student: the step is known by what it does.
    known = "distill/" + chain_key(chain, seed)
    outside = {f"pretrained {student.base}": run.pretrained(student.base).digest}
    return Step(known, "distill", run.student_folder(chain, seed), needs, settings, make, outside, shown=name)


def _predict(run: RunFolder) -> Iterator[Step]:
    """Probabilities of every teacher and student on every test set of its task."""
    for name, teacher in run.recipe.teachers.items():
        if teacher.file is None:
            needs = {f"teach/{name}": run.teacher_folder(name)}
            yield _prediction(run, teacher.task, f"teacher-{name}", f"teacher {name}", needs, name)
    planned: set[tuple[str, Path]] = set()
    for row, task, seed in run.placed_rows():
        try:
            students = run.row_students(row, task, seed)
        except NotYet as unready:
            waiting = f"evaluate/{task}/{row}/{seed}"
            yield Step(waiting, "evaluate", run.folder / "predictions", {}, {}, _never, waits=str(unready))
            continue
        for folder, _ in students:
            if (task, folder) not in planned:
                planned.add((task, folder))
                yield _prediction(run, task, folder.name, f"{row} (seed {seed})", {"the student": folder}, None)


def _prediction(
    run: RunFolder, task: str, key: str, shown: str, needs: Mapping[str, Path], teacher: str | None
) -> Step:
    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.results import predict

        return predict(run, task, next(iter(needs.values())), teacher, folder, shown)

    every = {**needs, f"collect/{task}": run.corpus_artifact(task)}
    settings = {"precision": run.recipe.precision, "tests": list(run.recipe.tasks[task].tests)}
    folder, title = run.predictions_folder(task, key), f"evaluate/{task}/{shown}"
    return Step(f"evaluate/{task}/{key}", "evaluate", folder, every, settings, make, shown=title)


def _report(run: RunFolder) -> Step:
    def make(folder: Path, work: Path) -> dict[str, Any]:
        from tmkd.results import report

        return report(run, folder)

    needs: dict[str, Path] = {}
    for name, teacher in run.recipe.teachers.items():
        if teacher.file is None:
            needs[f"evaluate/teacher {name}"] = run.predictions_folder(teacher.task, f"teacher-{name}")
    waits = ""
    rows: list[list[Any]] = []
    for row, task, seed in run.placed_rows():
        try:
            keys = [folder.name for folder, _ in run.row_students(row, task, seed)]
        except NotYet as unready:
            waits = str(unready)
            break
        rows.append([row, task, seed, keys])
        needs |= {f"evaluate/{task}/{row}/{key}": run.predictions_folder(task, key) for key in keys}
    needs |= {f"collect/{name}": run.corpus_artifact(name) for name in (*run.recipe.tasks, *run.recipe.collect)}
    settings = {"rows": digest_json(rows), "evaluate": run.recipe.evaluate.model_dump(mode="json")}
    return Step("evaluate/report", "evaluate", run.folder / "report", needs, settings, make, waits=waits)


def _never(folder: Path, work: Path) -> dict[str, Any]:
    raise AssertionError("a step that waits is not made")
