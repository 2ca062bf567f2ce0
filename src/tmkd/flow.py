"""Figure 1 as code: the ordered list of steps, what each needs and makes. Steps meet on disk; heavy imports wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tmkd import pretrained
from tmkd.distill.rows import PlannedStage, best_by_dev, chain_key, declared, members, stage_settings
from tmkd.errors import TmkdError
from tmkd.pairs import LabelSet
from tmkd.recipe import Gather, Recipe, Source, Task, Teacher
from tmkd.steps import Step
from tmkd.store import digest_file, digest_json, read_manifest

VERBS = ("collect", "teach", "score", "distill", "evaluate")
# What a teacher's weights do not depend on.
_BESIDE: Any = {"extra": True, "scores": True, "missing": True, "fit": {"checkpoint_steps", "tensorboard"}}


class NotYet(Exception):
    """A word of the recipe (`best`) cannot be resolved before earlier steps are done."""


@dataclass(frozen=True)
class Student:
    """A trained student of a row: where it lies, and the steps that made it."""

    folder: Path
    chain: tuple[Path, ...]


class Flow:
    """The steps of one recipe in one run folder, in order; planning reads manifests and recipes, nothing heavy."""

    def __init__(self, recipe: Recipe, base: Path, folder: Path) -> None:
        self.recipe = recipe
        self.base = (base / recipe.data).resolve()
        self.recipe_base = base
        self.folder = folder

    # -- where things are ---------------------------------------------------------------------------------------

    def corpus_folder(self, corpus: str) -> Path:
        """The folder of a corpus: `TASK/train`, `TASK/dev`, `TASK/<test>` or a stage-1 corpus."""
        return self.folder / "pairs" / corpus

    def _corpus_artifact(self, corpus: str) -> Path:
        return self.folder / "pairs" / corpus.partition("/")[0]

    def teacher_folder(self, name: str) -> Path:
        return self.folder / "teachers" / self.recipe.teachers[name].task / name

    def soft_folder(self, corpus: str, teacher: str) -> Path:
        return self.folder / "softlabels" / corpus / teacher

    def predictions_folder(self, task: str, key: str) -> Path:
        return self.folder / "predictions" / task / key

    def labels(self, task: str) -> LabelSet:
        return LabelSet(task, self.recipe.tasks[task].labels, self.recipe.tasks[task].positive)

    @cached_property
    def _digests(self) -> dict[Path, str]:
        return {}

    @cached_property
    def _bases(self) -> dict[str, pretrained.ModelFolder]:
        return {}

    def pretrained(self, name: str) -> pretrained.ModelFolder:
        """The checked local folder of a pretrained name, resolved once."""
        if name not in self._bases:
            self._bases[name] = pretrained.find(name, self.recipe.pretrained, self.recipe_base)
        return self._bases[name]

    def _files(self, sources: tuple[Source, ...]) -> dict[str, str]:
        digests = {}
        for source in sources:
            path = self.base / source.file
            if not path.is_file():
                raise TmkdError(f"{path}: no such file (named in the recipe; file names are relative to {self.base})")
            if path not in self._digests:
                self._digests[path] = digest_file(path)
            digests[f"file {source.file}"] = self._digests[path]
        return digests

    # -- the steps ----------------------------------------------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        """All steps in order. Later ones are planned when reached: `best` needs the dev scores of earlier ones.

        Raises: UsageError, before the first step, when a row names a teacher or corpus that is not there.
        """
        for row, of, _ in self.placed_rows():
            members(self.recipe, row, self.recipe.rows[row], of, best=lambda names: names[0])
        for name, task in self.recipe.tasks.items():
            yield self._collect_task(name, task)
        for name, gather in self.recipe.collect.items():
            yield self._collect_corpus(name, gather)
        for name, teacher in self.recipe.teachers.items():
            yield self._teach(name, teacher)
        for corpus in self.corpora():
            for name in declared(self.recipe, corpus):
                yield self._score(name, corpus)
        yield from self._distill()
        yield from self._predict()
        yield self._report()

    def corpora(self) -> list[str]:
        """The corpora that teachers score: each task's train and dev, and the stage-1 corpora."""
        return [f"{task}/{split}" for task in self.recipe.tasks for split in ("train", "dev")] + list(
            self.recipe.collect
        )

    def _collect_task(self, name: str, task: Task) -> Step:
        def make(folder: Path, work: Path) -> dict[str, Any]:
            from tmkd.collect.tasks import collect_task

            return collect_task(name, task, folder, self.base)

        sources = (*task.train, *task.dev, *(source for test in task.tests.values() for source in test))
        folder = self._corpus_artifact(name)
        return Step(f"collect/{name}", "collect", folder, {}, task.model_dump(mode="json"), make, self._files(sources))

    def _collect_corpus(self, name: str, gather: Gather) -> Step:
        tasks = [task for task, entry in self.recipe.tasks.items() if entry.kind == "qa"]

        def make(folder: Path, work: Path) -> dict[str, Any]:
            from tmkd.collect.corpora import collect_corpus
            from tmkd.collect.guard import Guard
            from tmkd.pairs import Corpus
            from tmkd.progress import progress

            held_out = [
                Corpus.open(self.corpus_folder(f"{task}/{split}")).table()
                for task in tasks
                for split in ("dev", *self.recipe.tasks[task].tests)
            ]
            with progress(f"collect {name}", "questions") as report:
                return collect_corpus(
                    name, gather, self.labels(gather.task), Guard.of(held_out), folder, self.base, report
                )

        sources = (*gather.documents, *gather.passages, *gather.questions, *gather.pairs)
        needs = {f"collect/{task}": self._corpus_artifact(task) for task in tasks}
        settings = gather.model_dump(mode="json")
        return Step(
            f"collect/{name}", "collect", self._corpus_artifact(name), needs, settings, make, self._files(sources)
        )

    def _teach(self, name: str, teacher: Teacher) -> Step:
        def make(folder: Path, work: Path) -> dict[str, Any]:
            if teacher.file is not None:
                from tmkd.teachers.imported import read_scores

                return dict(read_scores(teacher, self.labels(teacher.task), folder, self.base))
            if teacher.model is not None:
                from tmkd.teachers.network import load

                load(
                    self.pretrained(teacher.model).path,
                    self.labels(teacher.task),
                    teacher.classes,
                    8,
                    "cpu",
                    "fp32",
                    name,
                )
                return {"ready_made": teacher.model}
            from tmkd.pairs import Corpus
            from tmkd.teachers.finetune import finetune
            from tmkd.train.precision import pick_device, pick_precision

            device = pick_device(self.recipe.device)
            train, dev = (Corpus.open(self.corpus_folder(f"{teacher.task}/{split}")) for split in ("train", "dev"))
            base = self.pretrained(str(teacher.base)).path
            precision = pick_precision(self.recipe.precision, device)
            return finetune(name, teacher, base, train, dev, folder, work, device, precision)

        needs = {f"collect/{teacher.task}": self._corpus_artifact(teacher.task)} if teacher.base is not None else {}
        model = teacher.base or teacher.model
        outside = {f"pretrained {model}": self.pretrained(model).digest} if model else {}
        if teacher.file is not None:
            outside = self._files((teacher.file,))
        settings = teacher.model_dump(mode="json", exclude=_BESIDE)
        return Step(f"teach/{name}", "teach", self.teacher_folder(name), needs, settings, make, outside)

    def load_teacher(self, name: str, device: str, precision: str) -> Any:
        """A teacher as a network (teachers.network.TeacherNetwork); imported ones have none."""
        from tmkd.teachers.network import load

        teacher = self.recipe.teachers[name]
        folder = self.pretrained(teacher.model).path if teacher.model else self.teacher_folder(name)
        return load(folder, self.labels(teacher.task), teacher.classes, teacher.max_length, device, precision, name)

    def _score(self, name: str, corpus: str) -> Step:
        teacher = self.recipe.teachers[name]

        def make(folder: Path, work: Path) -> dict[str, Any]:
            from tmkd.pairs import Corpus
            from tmkd.progress import progress
            from tmkd.softlabels import shard_path
            from tmkd.teachers.score import prune, score_shard, unscored
            from tmkd.train.precision import pick_device, pick_precision

            manifest = read_manifest(self.teacher_folder(name))
            assert manifest is not None
            pairs = Corpus.open(self.corpus_folder(corpus))
            todo = unscored(pairs, folder, manifest.digest)
            if teacher.file is not None:
                from tmkd.teachers.imported import match_scores

                every = range(len(pairs.shards))
                gaps = match_scores(
                    name, self.teacher_folder(name), pairs, every, folder, manifest.digest, teacher.missing
                )
                prune(folder, pairs, manifest.digest)
                return {"pairs": len(pairs), "missing": gaps}
            device = pick_device(self.recipe.device)
            precision = pick_precision(self.recipe.precision, device)
            network: Any = self.load_teacher(name, device, precision) if todo else None
            with progress(f"score {name} × {corpus}", "pairs") as report:
                total, done = sum(pairs.shards[index].rows for index in todo), 0

                def count(batch: int) -> None:
                    nonlocal done
                    done += batch
                    report(done, total)

                for index in todo:
                    digest = pairs.shards[index].digest
                    score_shard(
                        network, pairs, index, shard_path(folder, manifest.digest, digest), manifest.digest, count
                    )
            prune(folder, pairs, manifest.digest)
            return {
                "pairs": len(pairs),
                "scored_now": total,
                "precision": precision,
                **self._dev_accuracy(name, corpus, folder),
            }

        needs = {f"teach/{name}": self.teacher_folder(name), f"collect/{corpus}": self._corpus_artifact(corpus)}
        settings = {"precision": self.recipe.precision, "missing": teacher.missing}
        step_name, folder = f"score/{corpus}/{name}", self.soft_folder(corpus, name)
        return Step(step_name, "score", folder, needs, settings, make, keep="*.safetensors")

    def _dev_accuracy(self, name: str, corpus: str, folder: Path) -> dict[str, float]:
        """On a dev set: the teacher's accuracy, by which `best` is chosen."""
        if not corpus.endswith("/dev"):
            return {}
        from tmkd.pairs import Corpus
        from tmkd.quality import accuracy
        from tmkd.softlabels import SoftLabels

        pairs = Corpus.open(self.corpus_folder(corpus))
        soft = SoftLabels.load(pairs, [self.column(corpus, name)])
        return {"accuracy": accuracy(soft.logits[:, 0], pairs.label_array())}

    def column(self, corpus: str, name: str) -> Any:
        """Where one teacher's logits of a corpus lie (softlabels.Column)."""
        from tmkd.softlabels import Column

        manifest = read_manifest(self.teacher_folder(name))
        if manifest is None:
            raise TmkdError(f"teach/{name} is not done")
        return Column(name, manifest.digest, self.soft_folder(corpus, name))

    def _best(self, names: tuple[str, ...]) -> str:
        dev = {}
        for name in names:
            teacher = self.recipe.teachers[name]
            corpus = f"{teacher.task}/dev"
            if name not in declared(self.recipe, corpus):
                continue
            manifest = read_manifest(self.soft_folder(corpus, name))
            if manifest is None:
                raise NotYet(f"score/{corpus}/{name}")
            if "accuracy" in manifest.facts:
                dev[name] = manifest.facts["accuracy"]
        return best_by_dev(names, dev)

    def row_students(self, row: str, task: str, seed: int) -> list[tuple[Path, tuple[PlannedStage, ...]]]:
        """The students of one row: folder of the last stage, and the planned stages."""
        chains = members(self.recipe, row, self.recipe.rows[row], task, self._best)
        return [(self.student_folder(chain, seed), chain) for chain in chains]

    def student_folder(self, chain: tuple[PlannedStage, ...], seed: int) -> Path:
        return self.folder / "students" / chain_key(self.recipe, chain, seed)

    def placed_rows(self) -> Iterator[tuple[str, str, int]]:
        """Every (row, task, seed) of the recipe."""
        for name, row in self.recipe.rows.items():
            for task in row.tasks or tuple(self.recipe.tasks):
                for seed in self.recipe.seeds:
                    yield name, task, seed

    def _distill(self) -> Iterator[Step]:
        planned: set[Path] = set()
        for row, task, seed in self.placed_rows():
            name = f"distill/{task}/{row}/{seed}"
            try:
                students = self.row_students(row, task, seed)
            except NotYet as unready:
                yield Step(name, "distill", self.folder / "students", {}, {}, _never, waits=str(unready))
                continue
            for place, (_, chain) in enumerate(students):
                for depth in range(1, len(chain) + 1):
                    folder = self.student_folder(chain[:depth], seed)
                    if folder not in planned:
                        planned.add(folder)
                        member = f"/{place + 1}" if len(students) > 1 else ""
                        stage = f"/stage {depth}" if len(chain) > 1 else ""
                        yield self._stage(name + member + stage, chain[:depth], task, seed)

    def _stage(self, name: str, chain: tuple[PlannedStage, ...], task: str, seed: int) -> Step:
        planned, before = chain[-1], chain[:-1]
        start = self.student_folder(before, seed) if before else None

        def make(folder: Path, work: Path) -> dict[str, Any]:
            from tmkd.distill.stage import run_stage
            from tmkd.pairs import Corpus
            from tmkd.softlabels import SoftLabels
            from tmkd.train.precision import pick_device, pick_precision

            corpus = Corpus.open(self.corpus_folder(planned.corpus))
            soft = None
            if planned.teachers:
                soft = SoftLabels.load(corpus, [self.column(planned.corpus, teacher) for teacher in planned.teachers])
            dev = Corpus.open(self.corpus_folder(f"{task}/dev")) if "/" in planned.corpus else None
            device = pick_device(self.recipe.device)
            precision = pick_precision(self.recipe.precision, device)
            base, student = self.pretrained(self.recipe.student.base).path, self.recipe.student
            return run_stage(
                planned.stage, student, start, base, corpus, soft, dev, seed, folder, work, device, precision, name
            )

        needs = {f"collect/{planned.corpus}": self._corpus_artifact(planned.corpus)}
        needs |= {f"score/{planned.corpus}/{name}": self.soft_folder(planned.corpus, name) for name in planned.teachers}
        if start is not None:
            needs["the stage before"] = start
        settings: dict[str, Any] = {
            "corpus": planned.corpus,
            "teachers": list(planned.teachers),
            "stage": stage_settings(planned.stage),
            "student": self.recipe.student.model_dump(mode="json"),
            "seed": seed,
        }
        base = self.recipe.student.base
        # A row's name may change without its student: the step is known by what it does.
        known = "distill/" + chain_key(self.recipe, chain, seed)
        outside = {f"pretrained {base}": self.pretrained(base).digest}
        folder = self.student_folder(chain, seed)
        return Step(known, "distill", folder, needs, settings, make, outside, shown=name)

    def _predict(self) -> Iterator[Step]:
        """Probabilities of every teacher and student on every test set of its task."""
        for name, teacher in self.recipe.teachers.items():
            if teacher.file is None:
                needs = {f"teach/{name}": self.teacher_folder(name)}
                yield self._prediction(teacher.task, f"teacher-{name}", f"teacher {name}", needs, name)
        seen: set[tuple[str, Path]] = set()
        for row, task, seed in self.placed_rows():
            try:
                students = self.row_students(row, task, seed)
            except NotYet as unready:
                waiting = f"evaluate/{task}/{row}/{seed}"
                yield Step(waiting, "evaluate", self.folder / "predictions", {}, {}, _never, waits=str(unready))
                continue
            for folder, _ in students:
                if (task, folder) not in seen:
                    seen.add((task, folder))
                    yield self._prediction(task, folder.name, f"{row} (seed {seed})", {"the student": folder}, None)

    def _prediction(self, task: str, key: str, shown: str, needs: Mapping[str, Path], teacher: str | None) -> Step:
        def make(folder: Path, work: Path) -> dict[str, Any]:
            from tmkd.results import predict

            return predict(self, task, next(iter(needs.values())), teacher, folder, shown)

        every = {**needs, f"collect/{task}": self._corpus_artifact(task)}
        settings = {"precision": self.recipe.precision, "tests": list(self.recipe.tasks[task].tests)}
        name = f"evaluate/{task}/{key}"
        return Step(
            name,
            "evaluate",
            self.predictions_folder(task, key),
            every,
            settings,
            make,
            shown=f"evaluate/{task}/{shown}",
        )

    def _report(self) -> Step:
        def make(folder: Path, work: Path) -> dict[str, Any]:
            from tmkd.results import report

            return report(self, folder)

        needs: dict[str, Path] = {}
        for name, teacher in self.recipe.teachers.items():
            if teacher.file is None:
                needs[f"evaluate/teacher {name}"] = self.predictions_folder(teacher.task, f"teacher-{name}")
        waits = ""
        rows: list[list[Any]] = []
        for row, task, seed in self.placed_rows():
            try:
                folders = [folder for folder, _ in self.row_students(row, task, seed)]
            except NotYet as unready:
                waits = str(unready)
                break
            rows.append([row, task, seed, [folder.name for folder in folders]])
            needs |= {
                f"evaluate/{task}/{row}/{folder.name}": self.predictions_folder(task, folder.name) for folder in folders
            }
        needs |= {f"collect/{name}": self._corpus_artifact(name) for name in (*self.recipe.tasks, *self.recipe.collect)}
        settings = {"rows": digest_json(rows), "evaluate": self.recipe.evaluate.model_dump(mode="json")}
        return Step("evaluate/report", "evaluate", self.folder / "report", needs, settings, make, waits=waits)


def _never(folder: Path, work: Path) -> dict[str, Any]:
    raise AssertionError("a step that waits is not made")
